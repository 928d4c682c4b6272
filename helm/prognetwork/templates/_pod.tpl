{{/*
The environment of every process: settings from values, secrets from files, and the pod's name, which stays when a
container is restarted in it, so that its leases come back at once.
*/}}
{{- define "prognetwork.environment" -}}
{{- $values := .Values }}
- name: PROG_ENV
  value: {{ $values.environment }}
- name: PROG_PUBLIC_URL
  value: {{ $values.publicUrl | quote }}
- name: PROG_DRAIN_SECONDS
  value: {{ $values.drainSeconds | quote }}
- name: PROG_HOST
  value: "0.0.0.0"
- name: PROG_PORT
  value: "8000"
- name: PROG_METRICS_PORT
  value: "9100"
- name: PROG_PROCESS_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- if eq $values.broker.kind "kafka" }}
{{- if not (get $values.secret.keys "PROG_BROKER_URL") }}
- name: PROG_BROKER_URL
  value: {{ printf "kafka://%s" (join "," $values.broker.kafka.servers) | quote }}
{{- end }}
{{- end }}
{{- range $name, $value := $values.settings }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- range $name, $key := $values.secret.keys }}
{{- if $key }}
- name: {{ $name }}_FILE
  value: /etc/prognetwork/secrets/{{ $key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "prognetwork.mounts" -}}
- name: secrets
  mountPath: /etc/prognetwork/secrets
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- end }}

{{- define "prognetwork.volumes" -}}
- name: secrets
  secret:
    secretName: {{ .Values.secret.name }}
    defaultMode: 0440
    items:
      {{- range $name, $key := .Values.secret.keys }}
      {{- if $key }}
      - key: {{ $key }}
        path: {{ $key }}
      {{- end }}
      {{- end }}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmpSizeLimit }}
{{- end }}

{{/* The "restricted" pod security standard, and no writable root. */}}
{{- define "prognetwork.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "prognetwork.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where pods may run: what values say, and apart from their like. */}}
{{- define "prognetwork.placement" -}}
{{- $values := .root.Values }}
{{- with $values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
What a container runs and what it is given, but for its name. Of: root, role (its image), arguments (of `prog`), settings
(its own values).
*/}}
{{- define "prognetwork.process" -}}
image: {{ include "prognetwork.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [prog]
args: {{ toJson .arguments }}
env:
  {{- include "prognetwork.environment" .root | nindent 2 }}
  {{- if eq .role "worker" }}
  - name: PROG_PRODUCERS_FILE
    value: /etc/prognetwork/producers/producers.json
  {{- end }}
resources: {{- toYaml .settings.resources | nindent 2 }}
securityContext: {{- include "prognetwork.containerSecurity" .root | nindent 2 }}
volumeMounts:
  {{- include "prognetwork.mounts" .root | nindent 2 }}
  {{- if eq .role "worker" }}
  - name: producers
    mountPath: /etc/prognetwork/producers
    readOnly: true
  {{- end }}
{{- end }}

{{/*
One Deployment. Of: root, component (its name), role (its image), arguments (of `prog`), port (a name), replicas (absent
where an autoscaler decides), settings (its own values), preStopSeconds.
*/}}
{{- define "prognetwork.deployment" -}}
{{- $port := eq .port "http" | ternary 8000 9100 }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "prognetwork.fullname" .root }}-{{ .component }}
  labels: {{- include "prognetwork.labels" . | nindent 4 }}
spec:
  {{- if hasKey . "replicas" }}
  replicas: {{ .replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels: {{- include "prognetwork.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "prognetwork.labels" . | nindent 8 }}
        {{- if eq .port "metrics" }}
        prognetwork/serves: metrics
        {{- end }}
        {{- with .root.Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        {{- $standard := dict "prometheus.io/port" (toString $port) "prometheus.io/path" "/metrics" }}
        {{- merge (deepCopy .root.Values.podAnnotations) $standard | toYaml | nindent 8 }}
    spec:
      serviceAccountName: {{ include "prognetwork.fullname" .root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      # The drain, what comes before it, and ten seconds to give leases back and close.
      terminationGracePeriodSeconds: {{ add .root.Values.drainSeconds (default 0 .preStopSeconds) 10 }}
      securityContext: {{- include "prognetwork.podSecurity" .root | nindent 8 }}
      {{- include "prognetwork.placement" . | nindent 6 }}
      topologySpreadConstraints:
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - topologyKey: {{ . }}
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "prognetwork.selector" $ | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      containers:
        - name: {{ .role }}
          {{- include "prognetwork.process" . | nindent 10 }}
          ports:
            - name: {{ .port }}
              containerPort: {{ $port }}
          # /healthz: the process lives; /readyz: it can do its work. A server that is away makes nobody restart.
          startupProbe:
            httpGet: {path: /healthz, port: {{ .port }}}
            periodSeconds: 2
            timeoutSeconds: 5
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /healthz, port: {{ .port }}}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /readyz, port: {{ .port }}}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 2
          {{- with .preStopSeconds }}
          # So that load balancers know before the listener closes.
          lifecycle:
            preStop:
              sleep:
                seconds: {{ . }}
          {{- end }}
      volumes:
        {{- include "prognetwork.volumes" .root | nindent 8 }}
        {{- if eq .role "worker" }}
        - name: producers
          configMap:
            name: {{ include "prognetwork.fullname" .root }}-producers
        {{- end }}
{{- end }}

{{/* What a domain's worker is set to: the common values, with its own over them. */}}
{{- define "prognetwork.worker" -}}
{{- mergeOverwrite (deepCopy .root.Values.worker) (deepCopy (index .root.Values.workers .domain | default dict)) | toYaml }}
{{- end }}

{{/* Every Deployment's component name, as a YAML list. */}}
{{- define "prognetwork.components" -}}
- edge
- relay
- scheduler
{{- range $domain, $_ := .Values.workers }}
- worker-{{ $domain }}
{{- end }}
{{- end }}

{{/* The release's name, short enough that every suffix fits in 63 letters. */}}
{{- define "prognetwork.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 36 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 36 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 36 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* What selects the pods of this release; with a component, those of one Deployment. */}}
{{- define "prognetwork.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "prognetwork.labels" -}}
{{ include "prognetwork.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The image of a role: by digest where one is given, else by tag. */}}
{{- define "prognetwork.image" -}}
{{- $image := .root.Values.image }}
{{- $name := $image.perRole | ternary (printf "%s-%s" $image.repository .role) $image.repository }}
{{- if $image.registry }}
{{- $name = printf "%s/%s" $image.registry $name }}
{{- end }}
{{- with get $image.digests .role }}
{{- printf "%s@%s" $name . }}
{{- else }}
{{- printf "%s:%s" $name (default $.root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

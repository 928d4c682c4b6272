// Charts with uPlot. The figures are in the figure's data-chart attribute; when a refresh changes it, the lines move on.
import uPlot from "uplot";

const charts = new Map();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const lines = ["--kind-command", "--kind-event", "--kind-mail", "--kind-charge", "--line-4", "--line-5", "--line-6", "--line-7"];
const palette = () => lines.map(colour);

/** A value with nothing measured on either side would make no line: it is drawn as a point. */
function alone(plot, line) {
  const values = plot.data[line];
  return values.flatMap((number, at) => (number != null && values[at - 1] == null && values[at + 1] == null ? [at] : []));
}

const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
const value = (number, unit) => (number == null ? "–" : `${compact.format(number)}${unit ? ` ${unit}` : ""}`);

const read = (figure) => {
  const { times, values, unit } = JSON.parse(figure.dataset.chart);
  return { labels: Object.keys(values), data: [times, ...Object.values(values)], unit };
};

function options(figure, canvas, { labels, unit }) {
  const grid = { stroke: colour("--color-base-300"), width: 1 };
  const axis = { stroke: colour("--faint"), font: "11px 'Geist Variable', sans-serif", ticks: { show: false } };
  const colours = palette();
  return {
    width: canvas.clientWidth,
    height: Number(figure.dataset.chartHeight),
    padding: [8, 20, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, sync: { key: "console" } },
    scales: { y: { range: (_, least, most) => [0, Math.max(most * 1.15, 1)] } },
    axes: [
      { ...axis, grid: { show: false }, space: 70, size: 24, values: (_, ticks) => ticks.map((tick) => (areDays(ticks) ? month(tick) : time(tick, figure.dataset.chartZone))) },
      { ...axis, grid, size: 52, space: 34, values: (_, ticks) => ticks.map((tick) => amount(tick, unit)) },
    ],
    series: [
      {},
      ...labels.map((label, index) => ({
        label,
        stroke: colours[index % colours.length],
        fill: labels.length === 1 ? `${colours[0]}1f` : undefined,
        width: 1.5,
        points: { show: true, size: 4, fill: colours[index % colours.length], filter: alone },
        spanGaps: false,
      })),
    ],
    hooks: { setCursor: [(plot) => legend(figure, plot, unit)], setData: [(plot) => legend(figure, plot, unit)] },
  };
}

const amount = (tick, unit) => {
  if (unit !== "ms" || tick === 0) return compact.format(tick);
  return tick < 1000 ? `${compact.format(tick)} ms` : `${compact.format(tick / 1000)} s`;
};

const time = (seconds, zone, second) =>
  new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second, timeZone: zone });
const daySeconds = 86_400;
/** Whether instants are days apart, so that the month tells more than the time of day. */
const areDays = (times) => times.length > 1 && times[1] - times[0] >= daySeconds;
const month = (seconds) => new Date(seconds * 1000).toLocaleDateString("en-GB", { month: "short", year: "2-digit", timeZone: "UTC" });

/** Beside the title: each line's name with its value under the cursor, or the latest one. */
function legend(figure, plot, unit) {
  const place = figure.querySelector("[data-chart-legend]");
  const index = plot.cursor.idx ?? plot.data[0].length - 1;
  const last = plot.series.length - 2;
  const many = last > 0;
  const items = plot.series.slice(1).map((series, line) => {
    const item = document.createElement("span");
    item.className = `legend-item legend-${line % lines.length}`;
    item.textContent = `${many ? `${series.label} ` : ""}${value(plot.data[line + 1][index], many && line < last ? "" : unit)}`;
    return item;
  });
  if (plot.cursor.idx != null) {
    const at = document.createElement("span");
    at.className = "faint";
    const zone = figure.dataset.chartZone;
    const seconds = plot.data[0][index];
    at.textContent = areDays(plot.data[0]) ? month(seconds) : `${time(seconds, zone, "2-digit")} ${zone}`;
    items.unshift(at);
  }
  place.replaceChildren(...items);
}

function draw(figure) {
  const canvas = figure.querySelector("[data-chart-canvas]");
  const figures = read(figure);
  charts.get(figure)?.destroy();
  if (figures.data[0].length === 0) {
    canvas.textContent = "Nothing measured yet";
    return;
  }
  canvas.replaceChildren();
  const plot = new uPlot(options(figure, canvas, figures), figures.data, canvas);
  charts.set(figure, plot);
  legend(figure, plot, figures.unit);
}

function update(figure) {
  const plot = charts.get(figure);
  const { data } = read(figure);
  if (!plot || plot.series.length !== data.length) draw(figure);
  else plot.setData(data);
}

function scan() {
  for (const [figure, plot] of charts) {
    if (!figure.isConnected) {
      plot.destroy();
      charts.delete(figure);
    }
  }
  document.querySelectorAll("[data-chart]").forEach((figure) => {
    if (charts.has(figure)) return;
    draw(figure);
    changes.observe(figure, { attributes: true, attributeFilter: ["data-chart"] });
    sizes.observe(figure.querySelector("[data-chart-canvas]"));
  });
}

const changes = new MutationObserver((records) => new Set(records.map((record) => record.target)).forEach(update));
const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const figure = target.closest("[data-chart]");
    const plot = charts.get(figure);
    if (plot && contentRect.width > 0) plot.setSize({ width: contentRect.width, height: Number(figure.dataset.chartHeight) });
  }
});
const redraw = () => charts.forEach((_, figure) => draw(figure));

document.addEventListener("theme-change", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.addEventListener("htmx:after:swap", scan);
document.fonts.ready.then(scan);

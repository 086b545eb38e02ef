// Draws the figures in the colours of the page, and again when the reader or the system changes between light and dark.
(function () {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const coarse = window.matchMedia("(pointer: coarse)").matches;

  function colours() {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue("--" + name).trim();
  }

  function painted(value, colour) {
    if (typeof value === "string") return value.startsWith("@") ? colour(value.slice(1)) : value;
    if (Array.isArray(value)) return value.map((entry) => painted(entry, colour));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, painted(entry, colour)]));
    return value;
  }

  function axis(own, colour, narrow) {
    const made = Object.assign(
      { gridcolor: colour("grid"), linecolor: colour("rule"), zerolinecolor: colour("rule"), tickcolor: colour("rule"),
        automargin: true, ticks: "outside", ticklen: 4, exponentformat: "power" }, own || {});
    if (made.title) made.title = Object.assign({ standoff: 10 }, made.title);
    if (coarse) made.fixedrange = true;
    return made;
  }

  function draw(figure, width) {
    const element = document.getElementById("plot-" + figure.name);
    const narrow = (width || element.clientWidth) < 560;
    const colour = colours();
    const own = painted(figure.layout, colour);
    const layout = Object.assign({}, own, {
      // Two studies to a sheet of paper.
      height: width && element.closest(".study") ? Math.round(0.7 * figure.height) : figure.height,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: colour("sans"), color: colour("soft"), size: width ? 11 : narrow ? 11.5 : 13 },
      margin: Object.assign({ l: 56, r: 24, t: 26, b: 48 }, own.margin || {}),
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("rule"), font: { color: colour("ink"), family: colour("sans") } },
      legend: Object.assign({ orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" }, own.legend || {}),
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink") },
      dragmode: coarse ? false : "zoom",
    });
    if (width) layout.width = width;
    for (const key of Object.keys(Object.assign({ xaxis: 0, yaxis: 0 }, own)))
      if (/^[xy]axis\d*$/.test(key)) layout[key] = axis(own[key], colour, narrow);
    return Plotly.react(element, painted(figure.data, colour), layout, {
      responsive: true, displaylogo: false, displayModeBar: coarse || narrow ? false : "hover",
      modeBarButtons: [["toImage", "resetScale2d"]],
      toImageButtonOptions: { format: "svg", filename: figure.name },
    });
  }

  function drawAll(width) { return Promise.all(figures.map((figure) => draw(figure, width))); }
  drawAll().then(() => { document.documentElement.dataset.drawn = "yes"; });
  document.addEventListener("theme", () => drawAll());

  // A plot keeps the width of the screen unless it is told that of the paper, which no element has before printing; and
  // a page that its reader made dark is printed light.
  const printed = Math.floor((210 - 2 * 12) / 25.4 * 96) - 2;
  let theme;
  window.addEventListener("beforeprint", () => {
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    drawAll(printed);
  });
  window.addEventListener("afterprint", () => {
    if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
    // Drawn again, a plot keeps the width that it was given last.
    drawAll().then(() => figures.forEach((figure) => Plotly.Plots.resize("plot-" + figure.name)));
  });
})();

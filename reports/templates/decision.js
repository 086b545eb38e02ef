// Budgets, table and front of a sweep, which follow each other. All numbers come with the page.
(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const digits = (value, count) => {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const text = Math.abs(value) >= 10 ** (count - 1) ? String(Math.round(value)) : value.toPrecision(count);
    return String(Number(text)).replace("-", "−").replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, " ");
  };
  const shown = (own, value) => value === null || value === undefined ? "–"
    : own.share ? value.toFixed(2).replace("-", "−") : own.count ? String(value) : digits(value, 3);
  // A screened accuracy is an estimate without trials.
  const mark = (point, own) => point.screened && own.accuracy && point.values[own.name] !== null ? "≈ " : "";
  // What a point shows in each column: words as they come, numbers with their intervals, last the front.
  for (const point of data.points) {
    point.cells = data.columns.map((column, index) => {
      if (index < point.cells.length) return point.cells[index];
      if (!column.name) return { text: point.front === null ? "–" : Math.round(100 * point.front) + " %", sort: point.front };
      const own = data.quantities.find((one) => one.name === column.name), ends = point.intervals[own.name];
      return { text: mark(point, own) + shown(own, point.values[own.name]), sort: point.values[own.name], sub: ends ? shown(own, ends[0]) + " – " + shown(own, ends[1]) : "" };
    });
  }
  const quantities = Object.fromEntries(data.quantities.map((own) => [own.name, own]));
  const state = { limits: {}, sort: null, down: false, hand: null };

  const percent = (share) => share === 0 || share === 1 || (share >= 0.005 && share <= 0.995) ? Math.round(100 * share) + " %"
    : share < 0.5 ? "less than 1 %" : "more than 99 %";

  // A slider's place runs over the values that designs have, so that each step lets one more in.
  function steps(own) {
    const values = members().map((point) => point.values[own.name]).filter((value) => value !== null);
    const sorted = [...new Set(values)].sort((a, b) => own.more ? b - a : a - b);
    return sorted;
  }
  const group = () => $("group") ? Number($("group").value) : 0;
  const members = () => data.points.filter((point) => point.group === group());

  // Probability of a point to keep to a limit, from the quantiles of its draws.
  function chance(point, own, limit) {
    const quantiles = point.quantiles[own.name], value = point.values[own.name];
    if (value === null) return 0;
    if (!quantiles) return (own.more ? value >= limit : value <= limit) ? 1 : 0;
    const last = quantiles.length - 1;
    let below;
    if (limit < quantiles[0]) below = 0;
    else if (limit >= quantiles[last]) below = 1;
    else {
      let k = 0;
      while (quantiles[k + 1] <= limit) k++;
      const width = quantiles[k + 1] - quantiles[k];
      below = (k + (width > 0 ? (limit - quantiles[k]) / width : 1)) / last;
    }
    return own.more ? 1 - below : below;
  }
  function keeps(point) {
    let loss = 1, costs = 1;
    for (const [name, limit] of Object.entries(state.limits)) {
      const own = quantities[name], own_chance = chance(point, own, limit);
      if (own.accuracy) loss = Math.min(loss, own_chance); else costs = Math.min(costs, own_chance);
    }
    return loss * costs;
  }
  const within = (point) => Object.entries(state.limits).every(([name, limit]) => {
    const value = point.values[name];
    return value !== null && (quantities[name].more ? value >= limit * (1 - 1e-12) : value <= limit * (1 + 1e-12) + 1e-12);
  });
  const better = (own, a, b) => own.more ? a > b : a < b;

  function choose() {
    const aim = quantities[$("aim").value];
    const known = members().filter((point) => point.values[aim.name] !== null);
    const sure = known.filter((point) => within(point) && keeps(point) >= data.sure);
    let best = null;
    for (const point of sure) if (!best || better(aim, point.values[aim.name], best.values[aim.name])) best = point;
    return { aim, known, sure, best, inside: known.filter(within) };
  }

  function verdict() {
    const { aim, known, sure, best, inside } = choose(), box = $("verdict");
    box.replaceChildren();
    const say = (tag, text, kind) => { const own = document.createElement(tag); own.textContent = text; if (kind) own.className = kind; box.append(own); return own; };
    if (!best) {
      say("p", "No design keeps to these budgets" + (inside.length ? " with a probability of " + percent(data.sure) : "") + ".", "answer");
      const near = inside.length ? inside : known;
      const closest = near.reduce((a, b) => !a || keeps(b) > keeps(a) ? b : a, null);
      if (closest) say("p", "Nearest: " + closest.name + " (" + percent(keeps(closest)) + ").");
      return null;
    }
    say("p", "Build", "eyebrow");
    say("p", best.name, "answer");
    const list = document.createElement("dl");
    for (const own of data.quantities) {
      if (best.values[own.name] === null) continue;
      const item = document.createElement("div"), term = document.createElement("dt"), value = document.createElement("dd");
      term.textContent = own.label;
      value.textContent = mark(best, own) + shown(own, best.values[own.name]) + (own.unit ? " " + own.unit : "");
      const ends = best.intervals[own.name];
      if (ends) { const sub = document.createElement("span"); sub.className = "sub"; sub.textContent = shown(own, ends[0]) + " – " + shown(own, ends[1]); value.append(sub); }
      item.append(term, value); list.append(item);
    }
    box.append(list);
    say("p", (aim.more ? "The most " : "The least ") + aim.label.toLowerCase() + " of " + sure.length + " of " + known.length +
      " designs that keep to the budgets with " + percent(data.sure) + " or more; this one with " + percent(keeps(best)) + ".");
    return best;
  }

  // -- the table ---------------------------------------------------------------------------------------------------
  const body = document.querySelector("#points tbody");
  function rows() {
    const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean), only = $("within").checked;
    let own = members().filter((point) => words.every((word) => point.words.includes(word)) && (!only || within(point)));
    if (state.sort !== null) {
      const key = state.sort, sign = state.down ? -1 : 1;
      own = [...own].sort((a, b) => {
        const one = a.cells[key].sort, other = b.cells[key].sort;
        if (one === null || other === null) return (one === null) - (other === null);
        return sign * (typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other), "en", { numeric: true }));
      });
    }
    return own;
  }
  const cells = new Map();
  function row(point) {
    if (cells.has(point.number)) return cells.get(point.number);
    const own = document.createElement("tr");
    own.tabIndex = 0;
    own.dataset.number = point.number;
    point.cells.forEach((cell, index) => {
      const made = document.createElement(index === 0 ? "th" : "td");
      if (index === 0) made.scope = "row";
      if (!data.columns[index].number) made.className = "text";
      made.textContent = cell.text;
      if (cell.sub) { const sub = document.createElement("span"); sub.className = "sub"; sub.textContent = cell.sub; made.append(sub); }
      own.append(made);
    });
    own.addEventListener("click", () => take(point.number, false));
    own.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); take(point.number, false); } });
    cells.set(point.number, own);
    return own;
  }
  function table(best) {
    const own = rows();
    body.replaceChildren(...own.map(row));
    for (const point of own) {
      const element = row(point);
      element.classList.toggle("out", !within(point));
      element.classList.toggle("best", point === best);
      element.classList.toggle("hand", point.number === state.hand);
      element.setAttribute("aria-selected", String(point.number === state.hand));
    }
    $("count").textContent = own.length + " of " + members().length + " designs";
  }
  document.querySelectorAll("#points thead button").forEach((button) => button.addEventListener("click", () => {
    const key = Number(button.dataset.key);
    state.down = state.sort === key ? !state.down : false;
    state.sort = key;
    document.querySelectorAll("#points thead th").forEach((head, index) =>
      head.setAttribute("aria-sort", index === key ? (state.down ? "descending" : "ascending") : "none"));
    update(false);
  }));

  // -- the front ---------------------------------------------------------------------------------------------------
  function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(); }
  function staircase(points, x, y) {
    const sorted = [...points].sort((a, b) => (x.more ? b.values[x.name] - a.values[x.name] : a.values[x.name] - b.values[x.name]));
    const found = [];
    for (const point of sorted) if (!found.length || better(y, point.values[y.name], found[found.length - 1].values[y.name])) found.push(point);
    return found;
  }
  let drawn = null;
  function front(best) {
    const x = quantities[$("across").value], y = quantities[$("up").value], element = $("plot-front");
    const known = members().filter((point) => point.values[x.name] !== null && point.values[y.name] !== null);
    const label = (own) => own.label.toLowerCase() + (own.unit ? " [" + own.unit + "]" : "");
    const trace = (name, points, marker) => ({
      type: "scatter", mode: "markers", name, x: points.map((p) => p.values[x.name]), y: points.map((p) => p.values[y.name]),
      customdata: points.map((p) => p.number), text: points.map((p) => p.name), marker,
      hovertemplate: "%{text}<br>" + x.label + " %{x:.4~g} " + x.unit + "<br>" + y.label + " %{y:.4~g} " + y.unit + "<extra></extra>",
    });
    const inside = known.filter(within), outside = known.filter((point) => !within(point));
    const line = staircase(known, x, y);
    const traces = [
      { type: "scatter", mode: "lines", name: "front", hoverinfo: "skip", line: { color: colour("muted"), width: 1.5, shape: "hv" },
        x: line.map((p) => p.values[x.name]), y: line.map((p) => p.values[y.name]) },
      trace("over a budget", outside, { symbol: "circle-open", size: 8, color: colour("muted") }),
      trace("within the budgets", inside, { size: 9, color: colour("accent"), opacity: 0.85 }),
    ];
    const hand = data.points.find((point) => point.number === state.hand && known.includes(point)) || (known.includes(best) ? best : null);
    if (hand) {
      const bar = (own) => {
        const ends = hand.intervals[own.name], value = hand.values[own.name];
        return ends ? { type: "data", symmetric: false, array: [ends[1] - value], arrayminus: [value - ends[0]], color: colour("series1"), thickness: 1.5, width: 4 } : undefined;
      };
      traces.push(Object.assign(trace(hand === best ? "recommended" : "in hand", [hand], { size: 14, color: colour("series1"), symbol: hand === best ? "star" : "circle" }),
        { error_x: bar(x), error_y: bar(y) }));
    }
    const axis = (own) => ({ title: { text: label(own), standoff: 10 }, type: own.share || !known.length || known.some((p) => p.values[own.name] <= 0) ? "linear" : "log",
      dtick: undefined, gridcolor: colour("grid"), linecolor: colour("rule"), zerolinecolor: colour("rule"), automargin: true, ticks: "outside", ticklen: 4, exponentformat: "power" });
    const narrow = element.clientWidth < 560;
    const layout = {
      height: 460, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", dragmode: narrow ? false : "zoom",
      font: { family: colour("sans"), color: colour("soft"), size: narrow ? 11.5 : 13 }, margin: { l: 60, r: 20, t: 30, b: 50 },
      legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("rule"), font: { color: colour("ink"), family: colour("sans") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink") },
      xaxis: axis(x), yaxis: axis(y),
    };
    const made = Plotly.react(element, traces, layout, { responsive: true, displaylogo: false, displayModeBar: narrow ? false : "hover",
      modeBarButtons: [["toImage", "resetScale2d"]], toImageButtonOptions: { format: "svg", filename: "front" } });
    if (!drawn) {
      drawn = made;
      element.on("plotly_click", (event) => { const number = event.points[0].customdata; if (number !== undefined) take(number, true); });
    }
    return made;
  }

  function take(number, scroll) {
    state.hand = state.hand === number ? null : number;
    update(false);
    if (scroll && state.hand !== null && cells.has(number)) cells.get(number).scrollIntoView({ block: "center" });
  }

  // -- budgets -----------------------------------------------------------------------------------------------------
  function limits() {
    state.limits = {};
    for (const own of data.budgets.map((name) => quantities[name])) {
      const slider = $("budget-" + own.name), values = steps(own), place = Number(slider.value);
      slider.disabled = !values.length;
      const free = place >= Number(slider.max);
      const exact = slider.dataset.exact;
      const limit = exact !== undefined && exact !== "" ? Number(exact) : values[Math.min(values.length - 1, place)];
      $("out-" + own.name).textContent = free ? "any" : shown(own, limit);
      slider.setAttribute("aria-valuetext", free ? "any" : shown(own, limit) + " " + own.unit);
      if (!free) state.limits[own.name] = limit;
    }
  }
  function begin() {
    for (const own of data.budgets.map((name) => quantities[name])) {
      const slider = $("budget-" + own.name), values = steps(own), limit = data.limits[own.name];
      slider.max = values.length;
      slider.value = values.length;
      slider.dataset.exact = "";
      if (limit !== undefined) {
        // Just the designs that the study's own limit lets in; the number is the study's.
        const inside = values.filter((value) => own.more ? value >= limit : value <= limit).length;
        slider.value = Math.max(0, inside - 1);
        slider.dataset.exact = limit;
      }
    }
  }
  for (const name of data.budgets) $("budget-" + name).addEventListener("input", (event) => { event.target.dataset.exact = ""; update(false); });
  $("reset").addEventListener("click", () => { begin(); update(false); });
  if ($("group")) $("group").addEventListener("change", () => { state.hand = null; begin(); update(false); });
  for (const id of ["aim", "across", "up", "within"]) $(id).addEventListener("change", () => update(false));
  $("filter").addEventListener("input", () => update(false));
  document.addEventListener("theme", () => { if (drawn) front(verdictOf); });
  window.addEventListener("beforeprint", () => { if (drawn) Plotly.Plots.resize($("plot-front")); });

  let verdictOf = null;
  function update(first) {
    limits();
    verdictOf = verdict();
    table(verdictOf);
    document.querySelectorAll(".said").forEach((own) => { own.hidden = Number(own.dataset.group) !== group(); });
    const made = front(verdictOf);
    if (first) Promise.resolve(made).then(() => { document.documentElement.dataset.drawn = "yes"; });
  }
  begin();
  update(true);
})();

// Budgets, front and table of a sweep: one state, drawn again whenever the reader changes it.
(function () {
  "use strict";
  const content = JSON.parse(document.getElementById("content").textContent);
  const byId = (id) => document.getElementById(id);
  const state = { budgets: {}, conditions: {}, sort: null, down: false, chosen: null, across: null, up: null };
  const numbers = content.numbers;
  const rows = content.rows;
  const has = (name) => numbers.some((number) => number.name === name);

  function element(name, attributes, text) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  const SVG = "http://www.w3.org/2000/svg";
  function drawn(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function short(value) {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e5 || size < 1e-3) return value.toExponential(1).replace("-", "−");
    return Number(value.toPrecision(3)).toString().replace("-", "−");
  }
  const percent = (share) =>
    share === null ? "–" : share > 0.995 && share < 1 ? "> 99 %" : share < 0.005 && share > 0 ? "< 1 %" : Math.round(100 * share) + " %";

  // Probability that a number keeps to a budget: where the budget stands among its quantiles.
  function chance(own, budget) {
    if (!own) return 0;
    const at = own.quantiles, last = at.length - 1;
    if (budget >= at[last]) return 1;
    if (budget < at[0]) return 0;
    let place = 0;
    while (place < last && at[place + 1] <= budget) place += 1;
    const width = at[place + 1] - at[place];
    const share = width > 0 ? (budget - at[place]) / width : 0;
    return content.levels[place] + share * (content.levels[place + 1] - content.levels[place]);
  }
  // Costs rise and fall together with their components; the loss is independent of them.
  function meets(row) {
    let costs = 1, loss = 1;
    for (const [name, budget] of Object.entries(state.budgets)) {
      const own = chance(row[name], budget);
      if (name === "loss") loss = own; else costs = Math.min(costs, own);
    }
    return costs * loss;
  }
  const inside = (row) => Object.entries(state.budgets).every(([name, budget]) => row[name] && row[name].value <= budget);
  const wanted = (row) => Object.entries(state.conditions).every(([axis, value]) => row.varied[axis] === value);

  // -- budgets -----------------------------------------------------------------------------------------------------
  const STEPS = 200;
  function budgetOf(number, step) {
    if (number.least > 0) return number.least * Math.pow(number.most / number.least, step / STEPS);
    return number.least + (number.most - number.least) * step / STEPS;
  }
  function stepOf(number, budget) {
    const share = number.least > 0
      ? Math.log(budget / number.least) / Math.log(number.most / number.least)
      : (budget - number.least) / (number.most - number.least);
    return Math.max(0, Math.min(STEPS, Math.ceil(STEPS * (Number.isFinite(share) ? share : 1))));
  }
  function makeBudgets() {
    for (const number of numbers) {
      const label = element("label", {}, number.label + " at most ");
      const output = element("output");
      const input = element("input", { type: "range", min: 0, max: STEPS, step: 1, "data-number": number.name });
      const asked = content.budgets[number.name];
      input.value = asked === undefined ? STEPS : stepOf(number, asked);
      const take = (first) => {
        const step = Number(input.value);
        const open = step === STEPS && !(first && asked !== undefined);
        if (open) delete state.budgets[number.name];
        else state.budgets[number.name] = first && asked !== undefined ? asked : budgetOf(number, step);
        const text = open ? "any" : short(state.budgets[number.name]) + " " + number.unit;
        output.textContent = text;
        input.setAttribute("aria-valuetext", text);
      };
      input.addEventListener("input", () => { take(false); draw(); });
      take(true);
      label.append(output, input);
      byId("budgets").append(label);
    }
    for (const axis of content.conditions) {
      const values = [...new Set(rows.map((row) => row.varied[axis]))];
      if (values.length < 2) continue;
      const label = element("label", {}, axis.replace("_", " ") + " ");
      const select = element("select", { "data-axis": axis });
      for (const value of values) select.append(element("option", { value }, value));
      state.conditions[axis] = values[0];
      select.addEventListener("change", () => { state.conditions[axis] = select.value; draw(); });
      label.append(select);
      byId("conditions").append(label);
    }
  }

  function answer() {
    const own = rows.filter(wanted), fitting = own.filter(inside);
    const box = byId("answer");
    box.textContent = "";
    box.append(element("span", {}, fitting.length + " of " + own.length + " points keep to the budgets. "));
    const aim = ["network_energy", "network_area", "network_latency", "loss"].find(has);
    const sure = fitting.filter((row) => meets(row) >= 0.9);
    const from = sure.length ? sure : fitting;
    if (!from.length) {
      const near = own.slice().sort((one, other) => meets(other) - meets(one))[0];
      if (near) box.append(element("span", {}, "Nearest: "), element("b", {}, near.name), element("span", {}, " (" + percent(meets(near)) + ")."));
      return;
    }
    const best = from.slice().sort((one, other) => one[aim].value - other[aim].value)[0];
    box.append(element("span", {}, "Build "), element("b", {}, best.name));
    const facts = numbers.filter((number) => best[number.name])
      .map((number) => number.label.toLowerCase() + " " + short(best[number.name].value) + " " + number.unit);
    const cores = best.cores === null ? "" : ", " + best.cores + (best.cores === 1 ? " core" : " cores") + " of " + short(best.core_area) + " mm²";
    box.append(element("span", {}, ": " + facts.join(", ") + cores + "; it keeps to the budgets with a probability of "
      + percent(meets(best)) + (sure.length ? "." : ", and none is surer than 90 %.")));
  }

  // -- front -------------------------------------------------------------------------------------------------------
  function makeAxes() {
    if (numbers.length < 2) { byId("front").parentElement.hidden = true; return; }
    state.across = has("network_energy") ? "network_energy" : numbers[0].name;
    state.up = has("loss") ? "loss" : numbers.find((number) => number.name !== state.across).name;
    for (const id of ["across", "up"]) {
      const select = byId(id);
      for (const number of numbers) select.append(element("option", { value: number.name }, number.label));
      select.value = state[id];
      select.addEventListener("change", () => { state[id] = select.value; draw(); });
    }
  }
  function scale(name, from, to) {
    const own = rows.filter(wanted).map((row) => row[name]).filter(Boolean);
    let low = Math.min(...own.map((one) => one.low)), high = Math.max(...own.map((one) => one.high));
    const log = name !== "loss" && low > 0 && high / low > 20;
    const turn = log ? Math.log10 : (value) => value;
    let first = turn(low), last = turn(high);
    const margin = (last - first || Math.abs(last) || 1) * 0.06;
    first -= margin; last += margin;
    const place = (value) => from + (turn(value) - first) / (last - first) * (to - from);
    const ticks = [];
    if (log) {
      for (let power = Math.floor(first); power <= Math.ceil(last); power += 1)
        for (const factor of last - first > 2.5 ? [1] : [1, 2, 5]) ticks.push(factor * Math.pow(10, power));
    } else {
      const raw = (last - first) / 5, unit = Math.pow(10, Math.floor(Math.log10(raw)));
      const step = [1, 2, 5, 10].map((factor) => factor * unit).find((one) => one >= raw);
      for (let value = Math.ceil(first / step) * step; value <= last; value += step) ticks.push(Math.abs(value) < step / 1e6 ? 0 : value);
    }
    return { place, ticks: ticks.filter((value) => turn(value) >= first && turn(value) <= last) };
  }
  function drawFront() {
    if (numbers.length < 2) return;
    const box = byId("front"), width = Math.max(320, box.clientWidth || 960), height = width < 600 ? 340 : 460;
    const left = 62, right = width - 16, top = 14, bottom = height - 48;
    const picture = drawn("svg", { viewBox: "0 0 " + width + " " + height, role: "group", "aria-label": "Points by " + state.across.replace("_", " ") + " and " + state.up.replace("_", " ") });
    const known = rows.filter(wanted).filter((row) => row[state.across] && row[state.up]);
    box.textContent = "";
    if (!known.length) return;
    const x = scale(state.across, left, right), y = scale(state.up, bottom, top);
    const label = (name) => { const own = numbers.find((number) => number.name === name); return own.label + " [" + own.unit + "]"; };
    let before = -Infinity;
    for (const tick of x.ticks) {
      const at = x.place(tick);
      picture.append(drawn("line", { class: "grid", x1: at, x2: at, y1: top, y2: bottom }));
      if (at - before < 44) continue;
      before = at;
      picture.append(drawn("text", { x: at, y: bottom + 18, "text-anchor": "middle" }, short(tick)));
    }
    for (const tick of y.ticks) {
      const at = y.place(tick);
      picture.append(drawn("line", { class: "grid", x1: left, x2: right, y1: at, y2: at }),
        drawn("text", { x: left - 8, y: at + 4, "text-anchor": "end" }, short(tick)));
    }
    picture.append(drawn("text", { x: (left + right) / 2, y: height - 10, "text-anchor": "middle" }, label(state.across)),
      drawn("text", { transform: "translate(15 " + (top + bottom) / 2 + ") rotate(-90)", "text-anchor": "middle" }, label(state.up)));
    for (const [name, from] of [[state.across, x], [state.up, y]]) {
      if (state.budgets[name] === undefined) continue;
      const at = from.place(state.budgets[name]);
      if (name === state.across && at > left && at < right) picture.append(drawn("line", { class: "limit", x1: at, x2: at, y1: top, y2: bottom }));
      if (name === state.up && at > top && at < bottom) picture.append(drawn("line", { class: "limit", x1: left, x2: right, y1: at, y2: at }));
    }
    const best = known.slice().sort((one, other) => one[state.across].value - other[state.across].value || one[state.up].value - other[state.up].value);
    let least = Infinity;
    const steps = [];
    for (const row of best) if (row[state.up].value < least) {
      least = row[state.up].value;
      const at = [x.place(row[state.across].value), y.place(least)];
      if (steps.length) steps.push([at[0], steps[steps.length - 1][1]]);
      steps.push(at);
    }
    picture.append(drawn("polyline", { class: "line", points: steps.map((at) => at.join(",")).join(" ") }));
    const marks = known.slice().sort((one, other) => inside(one) - inside(other) || (one === state.chosen) - (other === state.chosen));
    for (const row of marks) {
      const one = row[state.across], other = row[state.up], kind = (inside(row) ? " in" : "") + (row === state.chosen ? " chosen" : "");
      const group = drawn("g", { class: "mark" + kind });
      if (known.length <= 150 || row === state.chosen)
        group.append(drawn("line", { class: "bar", x1: x.place(one.low), x2: x.place(one.high), y1: y.place(other.value), y2: y.place(other.value) }),
          drawn("line", { class: "bar", x1: x.place(one.value), x2: x.place(one.value), y1: y.place(other.low), y2: y.place(other.high) }));
      const text = row.name + ": " + [state.across, state.up].map((name) => short(row[name].value) + " " + numbers.find((number) => number.name === name).unit).join(", ");
      const point = drawn("circle", { class: "point" + kind, cx: x.place(one.value), cy: y.place(other.value), r: row === state.chosen ? 7 : 5, role: "button", tabindex: row === (state.chosen || marks[marks.length - 1]) ? 0 : -1, "aria-label": text });
      point.append(drawn("title", {}, text));
      point.addEventListener("click", () => choose(row, true));
      point.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(row, true); }
        const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!turn) return;
        event.preventDefault();
        const next = best[(best.indexOf(row) + turn + best.length) % best.length];
        choose(next, false);
        byId("front").querySelector(".point.chosen").focus();
      });
      group.append(point);
      picture.append(group);
    }
    box.append(picture);
  }
  function choose(row, scroll) {
    state.chosen = state.chosen === row && scroll ? null : row;
    draw();
    const line = byId("table").querySelector("tr.chosen");
    if (scroll && line) line.scrollIntoView({ block: "nearest" });
  }

  // -- table -------------------------------------------------------------------------------------------------------
  const columns = [
    { key: "name", label: "Point", value: (row) => row.name },
    ...content.axes.map((axis) => ({ key: "varied " + axis, label: axis.replace(/_/g, " "), value: (row) => { const number = Number(row.varied[axis]); return Number.isNaN(number) ? row.varied[axis] : number; } })),
    ...numbers.map((number) => ({ key: number.name, label: number.label, unit: number.unit, number: number.name, value: (row) => row[number.name] && row[number.name].value })),
    { key: "cores", label: "Cores", value: (row) => row.cores },
    { key: "core_area", label: "Area of a core", unit: "mm2", value: (row) => row.core_area },
    { key: "meets", label: "Keeps to budgets", value: meets, share: true },
    { key: "front", label: "On the front", value: (row) => row.front, share: true },
  ];
  function makeHead() {
    const line = element("tr");
    for (const column of columns) {
      const head = element("th", { scope: "col", "data-key": column.key });
      const button = element("button", { type: "button" }, column.label);
      if (column.unit) button.append(element("span", { class: "sub" }, column.unit));
      button.addEventListener("click", () => {
        state.down = state.sort === column ? !state.down : false;
        state.sort = column;
        drawTable();
      });
      head.append(button);
      line.append(head);
    }
    byId("table").tHead.append(line);
  }
  function drawTable() {
    for (const head of byId("table").tHead.rows[0].cells) {
      const mine = state.sort && head.dataset.key === state.sort.key;
      if (mine) head.setAttribute("aria-sort", state.down ? "descending" : "ascending"); else head.removeAttribute("aria-sort");
    }
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = byId("only").checked;
    const own = rows.filter((row) => {
      const text = (row.name + " " + Object.entries(row.varied).map((pair) => pair.join("=")).join(" ")).toLowerCase().split(/\s+/);
      return wanted(row) && (!only || inside(row)) && words.every((word) => text.some((part) => word.includes("=") ? part === word : part.includes(word)));
    });
    if (state.sort) own.sort((one, other) => {
      const a = state.sort.value(one), b = state.sort.value(other);
      if (a === b) return 0;
      if (a === null || a === undefined) return 1;
      if (b === null || b === undefined) return -1;
      return (a < b ? -1 : 1) * (state.down ? -1 : 1);
    });
    const body = element("tbody");
    for (const row of own) {
      const line = element("tr", { class: (inside(row) ? "in" : "out") + (row === state.chosen ? " chosen" : "") });
      columns.forEach((column, place) => {
        const value = column.value(row);
        const cell = element(place ? "td" : "th", place ? {} : { scope: "row" });
        if (column.number) {
          const number = row[column.number];
          cell.textContent = number ? short(number.value) : "–";
          if (number && number.low !== number.high) cell.append(element("span", { class: "sub" }, short(number.low) + " – " + short(number.high)));
        } else if (column.share) cell.textContent = percent(value === undefined ? null : value);
        else cell.textContent = typeof value === "number" ? short(value) : value === null ? "–" : value;
        line.append(cell);
      });
      line.addEventListener("click", () => choose(row, true));
      body.append(line);
    }
    byId("table").tBodies[0].replaceWith(body);
    byId("shown").textContent = own.length + " of " + rows.length + " rows";
  }

  // -- colours -----------------------------------------------------------------------------------------------------
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  let theme = "auto";
  function paint() {
    document.documentElement.dataset.theme = theme === "auto" ? (system.matches ? "dark" : "light") : theme;
    const names = { auto: "Auto", light: "Light", dark: "Dark" };
    byId("theme").querySelector("span").textContent = names[theme];
    byId("theme").setAttribute("aria-label", "Colours: " + (theme === "auto" ? "as the system" : theme));
  }
  byId("theme").addEventListener("click", () => { theme = { auto: "light", light: "dark", dark: "auto" }[theme]; paint(); });
  system.addEventListener("change", paint);
  window.addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; });
  window.addEventListener("afterprint", paint);

  function draw() { answer(); drawFront(); drawTable(); }
  paint();
  makeBudgets();
  makeAxes();
  makeHead();
  byId("filter").addEventListener("input", drawTable);
  byId("only").addEventListener("change", drawTable);
  let width = 0;
  window.addEventListener("resize", () => { if (byId("front").clientWidth !== width) { width = byId("front").clientWidth; drawFront(); } });
  draw();
  document.documentElement.dataset.drawn = "yes";
})();

/* Draws the figures in the reader's colours and shows transcripts; every text goes in as textContent. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;

  function element(name, options = {}, ...children) {
    const { dataset = {}, ...properties } = options;
    const node = Object.assign(document.createElement(name), properties);
    Object.assign(node.dataset, dataset);
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  // --- figures -----------------------------------------------------------------------------------------

  /** A copy of a specification with colours "var(--name)" looked up, as Plotly draws in plain colours. */
  function themed(value, key, style) {
    if (Array.isArray(value)) return value.map((item) => themed(item, key, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, themed(v, k, style)]));
    }
    const name = typeof value === "string" && key.endsWith("color") ? /^var\((--[\w-]+)\)$/.exec(value) : null;
    return name ? style.getPropertyValue(name[1]).trim() : value;
  }

  function layout(spec, style) {
    const read = (name) => style.getPropertyValue(name).trim();
    const own = themed(spec, "", style);
    const line = { gridcolor: read("--grid"), zerolinecolor: read("--line"), linecolor: read("--line") };
    for (const key of ["xaxis", "yaxis", ...Object.keys(own)]) {
      if (/^[xy]axis\d*$/.test(key)) own[key] = { ...line, dividercolor: read("--line"), ...own[key] };
    }
    return {
      ...own,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      dragmode: false,
      font: { family: "system-ui, sans-serif", size: 12.5, color: read("--ink") },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: read("--line"), activecolor: read("--accent") },
      hoverlabel: { bgcolor: read("--surface"), bordercolor: read("--line"), font: { color: read("--ink") } },
    };
  }

  const chosen = {};
  const config = { responsive: true, displaylogo: false, modeBarButtons: [["toImage"]], showTips: false };

  function draw(panel) {
    const key = panel.dataset.panel;
    const { spec } = data.figures[key][chosen[key] || 0];
    const style = getComputedStyle(root);
    panel.style.height = `${spec.layout.height}px`;
    return Plotly.react(panel, themed(spec.data, "", style), layout(spec.layout, style), config);
  }

  const panels = [...document.querySelectorAll("[data-panel]")];
  const drawAll = () => panels.forEach((panel) => panel.classList.contains("js-plotly-plot") && draw(panel));

  function choose(panel, number) {
    chosen[panel.dataset.panel] = number;
    return draw(panel);
  }

  /** A few choices are buttons, many are a list. */
  function choices(panel) {
    const tabs = data.figures[panel.dataset.panel];
    const box = document.querySelector(`[data-choices="${panel.dataset.panel}"]`);
    if (tabs.length < 2) return;
    if (tabs.length > 5) {
      const select = element("select", { ariaLabel: "what the figure shows" });
      tabs.forEach((tab, number) => select.append(element("option", { value: number, textContent: tab.label })));
      select.addEventListener("change", () => choose(panel, Number(select.value)));
      box.append(select);
      return;
    }
    const buttons = tabs.map((tab) => element("button", { type: "button", textContent: tab.label }));
    const press = (number) => buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(i === number)));
    buttons.forEach((button, number) => {
      button.addEventListener("click", () => (press(number), choose(panel, number)));
    });
    press(0);
    box.append(...buttons);
  }

  const near = new IntersectionObserver(
    (entries) =>
      entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
        near.unobserve(entry.target);
        draw(entry.target);
      }),
    { rootMargin: "600px" },
  );
  for (const panel of panels) {
    panel.style.height = `${data.figures[panel.dataset.panel][0].spec.layout.height}px`;
    choices(panel);
    near.observe(panel);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => ((root.dataset.scheme = "light"), panels.forEach(draw)));
  addEventListener("afterprint", () => (delete root.dataset.scheme, drawAll()));

  // --- tables ------------------------------------------------------------------------------------------

  const { columns, rows } = data.estimates;
  const every = document.getElementById("every");
  every.closest("details").addEventListener("toggle", () => every.tHead || fill(every));

  function fill(table) {
    const line = (cells, name) => element("tr", {}, ...cells.map((cell) => element(name, { textContent: cell })));
    table.append(element("thead", {}, line(columns, "th")), element("tbody", {}, ...rows.map((r) => line(r, "td"))));
  }

  function content(key) {
    const table = document.getElementById(key);
    if (table === every) return [columns, ...rows];
    return [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
  }

  const cleaned = (cell) => cell.replace(/\s+/g, " ").replace(/[\\`*_|[\]<>]/g, "\\$&");

  function markdown(lines) {
    const [head, ...body] = lines.map((line) => `| ${line.map(cleaned).join(" | ")} |`);
    return [head, `|${" --- |".repeat(lines[0].length)}`, ...body].join("\n");
  }

  /** Spreadsheets run a cell that starts like a formula; an apostrophe keeps it text. */
  function csv(lines) {
    const cell = (value) => `"${(/^[=+\-@\t\r]/.test(value) && isNaN(value) ? `'${value}` : value).replace(/"/g, '""')}"`;
    return lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = element("textarea", { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    const name = button.textContent;
    button.addEventListener("click", async () => {
      await copy(markdown(content(button.dataset.copy)));
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = name), 1500);
    });
  }
  for (const button of document.querySelectorAll("[data-csv]")) {
    button.addEventListener("click", () => {
      const file = new Blob(["\ufeff", csv(content(button.dataset.csv))], { type: "text/csv" });
      const link = element("a", { href: URL.createObjectURL(file), download: `${button.dataset.csv}.csv` });
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }

  // --- transcripts -------------------------------------------------------------------------------------

  const talk = data.transcripts;
  const list = document.getElementById("items");
  const more = document.getElementById("more");
  const filter = { role: "0", suite: "0", turned: false };
  const PAGE = 8;
  let matching = [];

  function marked(text, evidence) {
    const at = evidence ? text.indexOf(evidence) : -1;
    if (at < 0) return [text];
    const mark = element("mark", { textContent: evidence, title: "what the judge went by" });
    return [text.slice(0, at), mark, text.slice(at + evidence.length)];
  }

  const WORDS = { refuse: "refused", comply: "answered", degenerate: "degenerate", unparsed: "not judged", error: "error" };

  function reply(method, number, found) {
    const badges = element("p", { className: "badges" });
    const badge = (name, text) => badges.append(element("span", { className: `badge ${name}`, textContent: text }));
    if (found) {
      badge(found.outcome || "unknown", WORDS[found.outcome] || "no verdict");
      if (found.in_character !== null) badge("voice", found.in_character ? "in character" : "out of character");
      if (found.finish !== "stop") badge("cut", found.finish === "length" ? "cut off" : "generation failed");
    }
    const text = element("p", { className: "reply" });
    text.append(...(found ? marked(found.text || "(empty)", found.evidence) : ["(no reply stored)"]));
    const head = element("h4", { className: `s${number % 8}`, textContent: method });
    return element("div", { className: "arm" }, head, badges, text);
  }

  function item(entry) {
    const suite = talk.suites[entry.suite];
    const box = element("details", { className: "item", open: suite.kind !== "harmful" });
    const state = entry.turned ? element("span", { className: "badge turned", textContent: "turned wrong" }) : null;
    const where = `${talk.roles[entry.role]} · ${entry.id}`;
    const hint = suite.kind === "harmful" ? element("span", { className: "hint", textContent: "show text" }) : null;
    box.append(element("summary", {}, element("span", { textContent: where }), state, hint));
    const write = () => {
      if (box.childElementCount > 1) return;
      const prompt = element("p", { className: "prompt", textContent: entry.prompt || `(text not stored: ${entry.id})` });
      const arms = talk.methods.map((method, number) => reply(method, number, entry.replies[number]));
      const wanted = entry.references.map((text) => element("p", { className: "wanted", textContent: `reference: ${text}` }));
      box.append(prompt, ...wanted, element("div", { className: "arms" }, ...arms));
    };
    if (box.open) write();
    box.addEventListener("toggle", () => box.open && write());
    return box;
  }

  function extend() {
    const start = list.childElementCount;
    list.append(...matching.slice(start, start + PAGE).map(item));
    more.hidden = list.childElementCount >= matching.length;
    const count = `${list.childElementCount} of ${matching.length} stored prompts shown`;
    document.getElementById("shown").textContent = count;
  }

  function apply() {
    matching = talk.items.filter(
      (entry) =>
        (filter.role === "" || entry.role === Number(filter.role)) &&
        (filter.suite === "" || entry.suite === Number(filter.suite)) &&
        (!filter.turned || entry.turned),
    );
    list.replaceChildren();
    extend();
  }

  function select(name, labels) {
    const box = element("select", { name });
    box.append(...[["", "all"], ...labels.map((label, i) => [i, label])].map(([value, label]) =>
      element("option", { value, textContent: label, selected: String(value) === filter[name] })));
    box.addEventListener("change", () => ((filter[name] = box.value), apply()));
    return element("label", {}, `${name} `, box);
  }

  const turned = element("input", { type: "checkbox" });
  turned.addEventListener("change", () => ((filter.turned = turned.checked), apply()));
  document.getElementById("filters").append(
    select("role", talk.roles),
    select("suite", talk.suites.map((suite) => suite.name)),
    element("label", {}, turned, " turned wrong only"),
  );
  more.addEventListener("click", extend);
  apply();
})();

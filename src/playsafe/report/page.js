/* Draws the figures in the reader's colours, shows one of several panels, copies tables. Text is textContent. */
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

  /** A few choices are buttons, many are a list. */
  function chooser(labels, choose) {
    if (labels.length > 5) {
      const select = element("select", { ariaLabel: "what is shown" });
      labels.forEach((label, number) => select.append(element("option", { value: number, textContent: label })));
      select.addEventListener("change", () => choose(Number(select.value)));
      return [select];
    }
    const buttons = labels.map((label) => element("button", { type: "button", textContent: label }));
    const press = (number) => buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(i === number)));
    buttons.forEach((button, number) => button.addEventListener("click", () => (press(number), choose(number))));
    press(0);
    return buttons;
  }

  function choices(panel) {
    const tabs = data.figures[panel.dataset.panel];
    if (tabs.length < 2) return;
    const choose = (number) => ((chosen[panel.dataset.panel] = number), draw(panel));
    const box = document.querySelector(`[data-choices="${panel.dataset.panel}"]`);
    box.append(...chooser(tabs.map((tab) => tab.label), choose));
  }

  /** Of panels of HTML one is shown; without this script all stand below each other. */
  for (const box of document.querySelectorAll("[data-tabs]")) {
    const tabs = [...box.children];
    const choose = (number) => tabs.forEach((tab, i) => (tab.hidden = i !== number));
    box.before(element("div", { className: "choices" }, ...chooser(tabs.map((tab) => tab.dataset.tab), choose)));
    box.classList.add("chosen");
    choose(0);
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
    return [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.replaceAll("\u00a0", " ")));
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
})();

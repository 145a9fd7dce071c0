/* Shows transcripts and disagreements of judges; every text of a model goes in as textContent. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const PAGE = 8;

  function element(name, properties = {}, ...children) {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  // --- one reply ---------------------------------------------------------------------------------------

  const WORDS = {
    refuse: "refused", deflect: "deflected", safe: "safe", comply: "answered", soften: "softened",
    lecture: "lectured", degenerate: "degenerate", unfinished: "ended inside its thought", unparsed: "not judged", error: "error",
  };

  /** The text with the first evidence that stands in it marked, and whether that was possible. */
  function marked(text, evidences) {
    const evidence = evidences.find((words) => words && text.includes(words));
    if (!evidence) return [text];
    const at = text.indexOf(evidence);
    const mark = element("mark", { textContent: evidence, title: "what a judge went by" });
    return [text.slice(0, at), mark, text.slice(at + evidence.length)];
  }

  function badges(found, judges) {
    const box = element("p", { className: "badges" });
    const badge = (name, text, title = "") =>
      box.append(element("span", { className: `badge ${name}`, textContent: text, title }));
    judges.forEach((judge, number) => {
      const [state] = found.verdicts[number] || ["unknown"];
      badge(state, (judges.length > 1 ? `${judge}: ` : "") + (WORDS[state] || "no verdict"));
    });
    if ("in_character" in found) {
      const ratio = `role log-likelihood ratio ${found.ratio} nats per token`;
      badge("voice", found.in_character ? "in character" : "out of character", ratio);
    }
    if (found.sounds_like) badge("voice", `sounds like ${found.sounds_like}`);
    if (found.finish !== "stop") badge("cut", found.finish === "length" ? "cut off" : "no reply");
    return box;
  }

  /** What each judge said in its own words; the words that stand in the reply are marked there already. */
  function evidence(found, judges, shown) {
    const said = judges.flatMap((judge, number) => {
      const [, words] = found.verdicts[number] || ["", ""];
      if (!words || (judges.length === 1 && shown.includes(words))) return [];
      return [element("li", { textContent: `${judge}: “${words}”` })];
    });
    return said.length ? element("ul", { className: "evidence", ariaLabel: "what the judges went by" }, ...said) : null;
  }

  function reply(name, number, found, judges) {
    const head = element("h4", { className: `s${number % 8}`, textContent: name });
    if (!found) return element("div", { className: "arm" }, head, element("p", { className: "reply", textContent: "(no reply stored)" }));
    const words = found.verdicts.map((verdict) => (verdict ? verdict[1] : ""));
    const raw = element("p", { className: "reply", dir: "auto" }, ...(found.decoded ? [found.text] : marked(found.text || "(empty)", words)));
    const parts = [head, badges(found, judges), raw];
    if (found.decoded) {
      raw.classList.add("raw");
      parts.push(element("p", { className: "what", textContent: "decoded" }));
      parts.push(element("p", { className: "reply", dir: "auto" }, ...marked(found.decoded, words)));
    }
    if (found.thought) {
      const thought = element("p", { className: "reply raw", dir: "auto", textContent: found.thought });
      parts.push(element("details", {}, element("summary", { className: "what", textContent: "thought" }), thought));
    }
    return element("div", { className: "arm" }, ...parts, evidence(found, judges, found.decoded || found.text));
  }

  function prompt(found) {
    const parts = [element("p", { className: "prompt", dir: "auto", textContent: found.request || `(text not stored: ${found.id})` })];
    if (found.sent) {
      parts.push(element("p", { className: "what", textContent: "sent as" }));
      parts.push(element("p", { className: "sent", tabIndex: 0, textContent: found.sent }));
    }
    for (const text of found.references || []) parts.push(element("p", { className: "wanted", textContent: `reference: ${text}` }));
    return parts;
  }

  /** A line that opens; what is harmful is made only then. */
  function item(title, badge, hidden, make) {
    const box = element("details", { className: "item", open: !hidden });
    const mark = badge ? element("span", { className: "badge turned", textContent: badge }) : null;
    const hint = hidden ? element("span", { className: "hint", textContent: "show text" }) : null;
    box.append(element("summary", {}, element("span", { textContent: title }), mark, hint));
    const write = () => box.childElementCount > 1 || box.append(...make());
    if (box.open) write();
    box.addEventListener("toggle", () => box.open && write());
    return box;
  }

  // --- lists with filters ------------------------------------------------------------------------------

  /** matches() gives the entries, make(entry) one element, says(shown, all) a sentence. Returns what applies
      the filter and what makes a select box for a part of it. */
  function listing(ids, filter, matches, make, says) {
    const list = document.getElementById(ids.list);
    const more = document.getElementById(ids.more);
    let found = [];
    const extend = () => {
      list.append(...found.slice(list.childElementCount, list.childElementCount + PAGE).map(make));
      more.hidden = list.childElementCount >= found.length;
      document.getElementById(ids.shown).textContent = says(list.childElementCount, found.length);
    };
    const apply = () => {
      found = matches();
      list.replaceChildren();
      extend();
    };
    more.addEventListener("click", extend);
    const select = (name, labels) => {
      const box = element("select", { name });
      const options = [["", "all"], ...labels.map((label, i) => [String(i), label])];
      box.append(...options.map(([value, textContent]) => element("option", { value, textContent, selected: value === filter[name] })));
      box.addEventListener("change", () => ((filter[name] = box.value), apply()));
      return element("label", {}, `${name} `, box);
    };
    return { apply, select };
  }

  const is = (chosen, number) => chosen === "" || number === Number(chosen);

  // --- transcripts -------------------------------------------------------------------------------------

  const talk = data.transcripts;
  const unjudged = ["references", "task"];
  const wanted = { role: "0", suite: "0", turned: false };
  const talks = listing(
    { list: "items", more: "more", shown: "shown" },
    wanted,
    () => talk.items.filter((one) => is(wanted.role, one.role) && is(wanted.suite, one.suite) && (!wanted.turned || one.turned)),
    (one) => {
      const found = talk.prompts[one.prompt];
      const title = (talk.roleless ? "" : `${talk.roles[one.role]} · `) + found.id + (wanted.suite === "" ? ` · ${talk.suites[one.suite].name}` : "");
      return item(title, one.turned ? "turned wrong" : "", talk.suites[one.suite].kind === "harmful", () => {
        const shown = one.replies.map((place) => (place === null ? null : talk.replies[place]));
        const arms = talk.methods.map((method, number) => reply(method, number, shown[number], unjudged.includes(talk.suites[one.suite].kind) ? [] : talk.judges));
        return [...prompt(found), element("div", { className: "arms" }, ...arms)];
      });
    },
    (shown, all) => `${shown} of ${all} stored prompts shown`,
  );
  const turned = element("input", { type: "checkbox" });
  turned.addEventListener("change", () => ((wanted.turned = turned.checked), talks.apply()));
  document.getElementById("filters").append(
    ...(talk.roleless ? [] : [talks.select("role", talk.roles)]),
    talks.select("suite", talk.suites.map((suite) => suite.name)),
    element("label", {}, turned, " turned wrong only"),
  );
  talks.apply();

  // --- disagreements -----------------------------------------------------------------------------------

  const apart = data.apart;
  if (!apart) return;
  const about = { suite: "" };
  const listed = listing(
    { list: "apart", more: "apart-more", shown: "apart-shown" },
    about,
    () => apart.items.filter((one) => is(about.suite, one.suite)),
    (one) => {
      const suite = apart.suites[one.suite];
      const title = `${suite.name} · ${one.run} · ${one.prompt.id}`;
      return item(title, one.grave ? "answered or not" : "", suite.kind === "harmful", () => [
        ...prompt(one.prompt),
        element("div", { className: "arms" }, reply("reply", 0, one.reply, apart.judges)),
      ]);
    },
    (shown, all) => (apart.total ? `${shown} of ${all} listed disagreements shown (${apart.total} in all)` : "The judges agree on every reply."),
  );
  document.getElementById("apart-filters").append(listed.select("suite", apart.suites.map((suite) => suite.name)));
  listed.apply();
})();

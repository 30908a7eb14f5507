"use strict";
/* The space-time diagram of a run. Its data is in #diagram-data; drawn is what is in view, as SVG.
   Everything that others wrote is put in as text, never as markup. */
(() => {
  const LANES = { least: 92, most: 190 }, LEFT = 64, TOP = 14, SYMBOL = { valid: "✓", failed: "✗", unknown: "?", expected: "✗", error: "↩", none: "" };
  const GAP = { least: 6, log: 6, most: 90 };
  const MARGIN = 400, PRINTED = 400, AROUND = { before: 1e6, after: 5e6, most: 60 };
  const ACTING = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]/g;
  const NS = "http://www.w3.org/2000/svg";
  const narrow = matchMedia("(max-width: 60rem)");  // where the panel is below the diagram
  const byId = (id) => document.getElementById(id);

  const clean = (text) => String(text).replace(/[\ud800-\udbff][\udc00-\udfff]|[^]/g, (one) =>
    one.length > 1 ? one : one.replace(ACTING, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0")));
  function html(name, attributes, ...children) { return fill(document.createElement(name), attributes, children); }
  function svg(name, attributes, ...children) { return fill(document.createElementNS(NS, name), attributes, children); }
  function fill(element, attributes, children) {
    for (const [key, value] of Object.entries(attributes || {}))
      if (typeof value === "function") element.addEventListener(key, value);
      else if (value !== null && value !== false) element.setAttribute(key, clean(value));
    for (const child of children) if (child !== null) element.append(child.nodeType ? child : clean(child));
    return element;
  }
  const seconds = (micros) => {
    const value = Math.abs(micros) / 1e6, sign = micros < 0 ? "−" : "";
    return sign + (value >= 100 ? value.toFixed(0) + " s" : value >= 1 ? value.toFixed(2) + " s" : (value * 1000).toFixed(1) + " ms");
  };

  async function unpack() {
    const bytes = Uint8Array.from(atob(byId("diagram-data").textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  unpack().then(start).catch((error) => {
    byId("diagram-status").textContent =
      "The diagram cannot be shown: it needs a browser of 2023 or later (" + error + "). xmpplab report --format svg draws it, too.";
  });

  function start(data) {
    const lanes = data.lanes.map(([title, name, server, person]) => ({ title, name, server, person }));
    const stanzas = data.stanzas.map(([name, type, id, sender, receiver, kind, value, outcome, findings, causes, seen, encryption, original], index) => ({
      index, name, type, id, sender, receiver, kind, value, outcome, findings, causes, encryption, original, effects: [],
      seen: seen.map(([lane, inward, at, before, whole, number, other, stream], place) => ({
        lane, inward, at, before, whole, number, other, stream, xml: data.xml[index] ? data.xml[index][place] : undefined })),
    }));
    for (const one of stanzas) {
      for (const cause of one.causes) stanzas[cause].effects.push(one.index);
      one.began = one.seen[0].at;
      one.ended = Math.max(...one.seen.map((o) => o.at));
      one.followed = new Set(one.seen.map((o) => o.before));
      one.people = new Set([...one.seen.flatMap((o) => [o.lane, o.other]).map((l) => lanes[l] && lanes[l].person), bare(one.sender), bare(one.receiver)]);
      one.servers = new Set(one.seen.map((o) => lanes[o.lane] && lanes[o.lane].server));
    }
    const view = { zoom: 1, lane: 130, columns: [], visible: [], times: [], tops: [], selected: null, focus: null, drawn: new Map(), printing: false };
    const scroller = byId("diagram"), drawing = byId("diagram-svg"), status = byId("diagram-status"), panel = byId("stanza");
    const layers = { bands: svg("g"), lanes: svg("g"), steps: svg("g"), times: svg("g", { class: "times", "aria-hidden": "true" }), lines: svg("g", { class: "lines" }) };
    const x = (lane) => LEFT + view.lane * view.columns.indexOf(lane) + view.lane / 2;
    drawing.append(arrowHeads(), layers.bands, layers.lanes, layers.steps, layers.times, layers.lines);
    buildFilters();
    layOut();
    const [, kind, number] = /^#(stanza|event)-(\d+)$/.exec(location.hash) || [];
    const asked = kind === "event" ? stanzas.findIndex((one) => one.seen.some((o) => o.number === +number)) : find(number);
    if (stanzas[asked]) show(asked);
    for (const link of document.querySelectorAll("[data-stanza]"))
      link.addEventListener("click", (event) => { 
        event.preventDefault();
        const place = find(link.dataset.stanza);
        if (stanzas[place]) show(place); else status.textContent = "That stanza is not drawn: history.jsonl has it.";
      });
    scroller.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    addEventListener("resize", redraw);
    scroller.addEventListener("keydown", onKey);
    addEventListener("beforeprint", () => { view.printing = true; draw(); });
    addEventListener("afterprint", () => { view.printing = false; draw(); });
    document.body.dataset.ready = "yes";

    /** The place of a stanza in the diagram, by its number in the run: a page of very many does not draw all. */
    function find(number) { return stanzas.findIndex((one) => one.original === +number); }

    // -- filters and zoom ------------------------------------------------------------------------------------------

    function buildFilters() {
      const people = [...new Set(lanes.map((lane) => lane.person).filter(Boolean))];
      const servers = [...new Set(lanes.map((lane) => lane.server).filter((s) => s >= 0))];
      for (const person of people) byId("filter-person").append(html("option", { value: person }, person));
      for (const server of servers) byId("filter-server").append(html("option", { value: server }, lanes[server].title));
      const kinds = ["message", "presence", "iq", "marker"].filter((kind) => stanzas.some((one) => one.kind === kind));
      for (const kind of kinds) {
        const count = stanzas.filter((one) => one.kind === kind).length;
        const quiet = kinds.includes("message") && (kind === "iq" || kind === "marker");
        byId("filter-kinds").append(html("label", {}, html("input", { type: "checkbox", value: kind, ...(quiet ? {} : { checked: "" }) }),
          ` ${kind === "marker" ? "markers of the lab" : kind} (${count})`));
      }
      byId("filters").addEventListener("change", layOut);
      byId("zoom-in").addEventListener("click", () => zoom(1.5));
      byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
      byId("zoom-reset").addEventListener("click", () => zoom(1 / view.zoom));
      byId("filters").hidden = false;
    }

    function passes(one) {
      const person = byId("filter-person").value, server = byId("filter-server").value;
      const kinds = [...byId("filter-kinds").querySelectorAll("input:checked")].map((box) => box.value);
      return kinds.includes(one.kind) && (!person || one.people.has(person)) && (server === "" || one.servers.has(+server)) &&
        (!byId("filter-wrong").checked || ["failed", "unknown", "expected", "error"].includes(one.value));
    }

    function layOut() {
      view.visible = stanzas.filter(passes).sort((a, b) => a.began - b.began);
      const marks = [...new Set([...view.visible.flatMap((one) => one.seen.map((o) => o.at)),
        ...data.steps.flatMap((s) => [s[2]]), ...data.bands.flatMap((b) => [b[1], b[2]]).filter((t) => t !== null)])].sort((a, b) => a - b);
      let y = TOP;
      view.times = marks;
      view.tops = marks.map((at, place) => y += place ? Math.min(GAP.most, GAP.least + GAP.log * Math.log2(1 + (at - marks[place - 1]) / 1000)) : 12);
      for (const one of stanzas) one.shown = false;
      let lowest = -Infinity;
      for (const one of view.visible) { one.shown = true; lowest = one.lowest = Math.max(lowest, one.ended); }
      // Of one person or server only the lanes that its stanzas touch are shown.
      const chosen = byId("filter-person").value || byId("filter-server").value !== "";
      const used = new Set(view.visible.flatMap((one) => one.seen.flatMap((o) => [o.lane, o.other])));
      view.columns = lanes.map((lane, place) => place).filter((place) => !chosen || used.has(place));
      const hidden = stanzas.length - view.visible.length;
      status.textContent = `${view.visible.length} of ${stanzas.length} stanzas shown` + (hidden ? `, ${hidden} hidden by the filters.` : ".");
      if (view.focus === null || !stanzas[view.focus].shown) view.focus = view.visible.length ? view.visible[0].index : null;
      redraw();
    }

    function zoom(factor) {
      const middle = (scroller.scrollTop + scroller.clientHeight / 2) / view.zoom;
      view.zoom = Math.min(12, Math.max(0.25, view.zoom * factor));
      redraw();
      scroller.scrollTop = middle * view.zoom - scroller.clientHeight / 2;
      draw();
    }

    function yOf(at) {
      const { times, tops } = view;
      if (!times.length) return TOP;
      let low = 0, high = times.length - 1;
      if (at <= times[0]) return tops[0] * view.zoom;
      if (at >= times[high]) return tops[high] * view.zoom;
      while (high - low > 1) { const middle = (low + high) >> 1; if (times[middle] <= at) low = middle; else high = middle; }
      const share = (at - times[low]) / (times[high] - times[low] || 1);
      return (tops[low] + share * (tops[high] - tops[low])) * view.zoom;
    }

    // -- drawing ---------------------------------------------------------------------------------------------------

    function redraw() {
      for (const group of view.drawn.values()) group.remove();
      view.drawn.clear();
      view.lane = Math.max(LANES.least, Math.min(LANES.most, (scroller.clientWidth - LEFT - 12) / Math.max(1, view.columns.length)));
      const letters = Math.floor((view.lane - 16) / 7.4);
      const height = (view.tops.length ? view.tops[view.tops.length - 1] : 0) * view.zoom + 40, width = LEFT + view.lane * view.columns.length + 10;
      drawing.setAttribute("width", width);
      drawing.setAttribute("height", height);
      byId("diagram-lanes").replaceChildren(svg("svg", { width, height: 46, "aria-hidden": "true" }, ...view.columns.map((place) => [place, lanes[place]]).map(([place, lane]) =>
        svg("g", { class: lane.person ? "device" : "server" },
          svg("rect", { x: x(place) - view.lane / 2 + 4, y: 4, width: view.lane - 8, height: 36, rx: lane.person ? 18 : 5 }),
          svg("text", { x: x(place), y: 27 }, lane.title.length > letters ? lane.title.slice(0, letters - 1) + "…" : lane.title, svg("title", {}, lane.name))))));
      layers.lanes.replaceChildren(...view.columns.map((place) => [place, lanes[place]]).map(([place, lane]) =>
        svg("line", { class: lane.person ? "lane device" : "lane server", x1: x(place), x2: x(place), y1: 0, y2: height })));
      layers.bands.replaceChildren(...data.bands.map((band) => drawBand(band, height)));
      layers.steps.replaceChildren(...data.steps.map(([text, depth, began, , failed]) => svg("g", { class: failed ? "step failed" : "step" },
        svg("line", { x1: 0, x2: width, y1: yOf(began), y2: yOf(began) }),
        svg("text", { x: 4, y: yOf(began) - 3 }, (failed ? "✗ " : "") + text))));
      draw();
    }

    function drawBand([title, began, ended, servers, fault, detail], height) {
      const top = yOf(began), bottom = ended === null ? height : yOf(ended);
      const columns = view.columns.filter((place) => !servers.length || servers.includes(lanes[place].server));
      return svg("g", { class: fault ? "band fault" : "band down" }, svg("title", {}, `${title} ${detail}`),
        ...columns.map((place) => svg("rect", { x: x(place) - view.lane / 2 + 1, y: top, width: view.lane - 2, height: Math.max(3, bottom - top) })),
        columns.length ? svg("text", { x: x(columns[0]) - view.lane / 2 + 6, y: top + 12 }, title) : null);
    }

    function draw() {
      const top = scroller.scrollTop - MARGIN, bottom = scroller.scrollTop + scroller.clientHeight + MARGIN;
      const wanted = new Set();
      for (const one of view.printing ? view.visible.slice(0, PRINTED) : view.visible) {
        const from = yOf(one.began);
        if (!view.printing && from > bottom) break;
        if (view.printing || yOf(one.ended) >= top || one.index === view.focus) wanted.add(one.index);
      }
      if (view.focus !== null && stanzas[view.focus].shown) wanted.add(view.focus);
      for (const [index, group] of view.drawn) if (!wanted.has(index)) { group.remove(); view.drawn.delete(index); }
      drawTimes([...wanted]);
      for (const index of wanted) if (!view.drawn.has(index)) {
        const group = drawStanza(stanzas[index]);
        view.drawn.set(index, group);
        layers.lines.append(group);
      }
    }

    /** Seconds since the start, in the margin: of as many stanzas as there is room for. */
    function drawTimes(wanted) {
      const texts = [], steps = data.steps.map((step) => yOf(step[2]));
      let last = -Infinity;
      for (const at of wanted.map((index) => stanzas[index].began).sort((a, b) => a - b)) {
        const y = yOf(at) + 4;
        if (y - last < 15 || steps.some((step) => Math.abs(step - 4 - y) < 12)) continue;
        last = y;
        texts.push(svg("text", { x: LEFT - 6, y }, seconds(at)));
      }
      layers.times.replaceChildren(...texts);
    }

    function label(one) {
      const what = `${one.kind === "marker" ? "marker" : one.name}${one.type ? " " + one.type : ""}${one.encryption && one.encryption !== "plain" ? " (" + one.encryption + ")" : ""}`;
      const first = lanes[one.seen[0].lane];
      return `${what} from ${short(one.sender) || (first ? first.title : "?")} to ${short(one.receiver) || "the server"}`;
    }

    function drawStanza(one) {
      const said = `${label(one)}, ${seconds(one.began)} after the start${one.value === "none" ? "" : ": " + one.value}${one.outcome ? ", " + one.outcome : ""}`;
      const group = svg("g", { class: `stanza ${one.value} kind-${one.name}`, role: "button", tabindex: one.index === view.focus ? 0 : -1,
        "aria-label": (one.index === data.wrong ? "First that went wrong: " : "") + said, "data-index": one.index,
        click: () => { setFocus(one.index); select(one.index); if (narrow.matches) panel.scrollIntoView(); } }, svg("title", {}, said));
      const ways = [];
      for (const o of one.seen) {
        const y = yOf(o.at);
        if (o.before >= 0) {
          const from = one.seen[o.before];
          if (from.lane === o.lane) ways.push(["inside", from.lane, yOf(from.at), o.lane, y]);
          else ways.push([o.whole ? "hop" : "hop guessed", from.lane, yOf(from.at), o.lane, y]);
        } else if (o.inward && o.other >= 0) ways.push(["hop guessed", o.other, y - 6, o.lane, y]);
      }
      one.seen.forEach((o, place) => {
        if (!o.inward && o.other >= 0 && !one.followed.has(place)) ways.push(["stub", o.lane, yOf(o.at), o.other, yOf(o.at) + 8]);
      });
      for (const [kind, a, y1, b, y2] of ways) {
        let x1 = x(a), x2 = x(b);
        if (kind === "stub") x2 = x1 + (x2 - x1) * 0.45;
        const d = `M${x1} ${y1.toFixed(1)}L${x2} ${y2.toFixed(1)}`;
        group.append(svg("path", { class: "hit", d }), svg("path", { class: kind, d, "marker-end": kind.startsWith("hop") ? `url(#arrow-${one.value})` : null }));
        if (kind === "stub") group.append(svg("text", { class: "end", x: x2, y: y2 + 4 }, one.value === "valid" || one.value === "none" ? "…" : SYMBOL[one.value]));
      }
      if (!ways.length) group.append(svg("circle", { class: "dot", cx: x(one.seen[0].lane), cy: yOf(one.began), r: 4 }));
      const last = one.seen[one.seen.length - 1];
      if (SYMBOL[one.value] && one.value !== "error" && !ways.some(([kind]) => kind === "stub"))
        group.append(svg("text", { class: "symbol", x: x(last.lane) + (last.inward ? 8 : -8), y: yOf(last.at) + 4, "text-anchor": last.inward ? "start" : "end" }, SYMBOL[one.value]));
      const next = one.seen.find((o) => o.lane !== one.seen[0].lane) || { lane: one.seen[0].other };
      const right = next.lane > one.seen[0].lane;
      group.append(svg("text", { class: "name", x: x(one.seen[0].lane) + (right ? 7 : -7), y: yOf(one.began) - 2, "text-anchor": right ? "start" : "end" },
        one.kind === "marker" ? "marker" : one.name === "message" ? (one.encryption || one.type || "message") : `${one.name} ${one.type}`.trim()));
      if (one.index === data.wrong) group.append(svg("text", { class: "wrong", x: 2, y: yOf(one.began) + 18 }, "first wrong ▸"));
      mark(one.index, group);
      return group;
    }

    function arrowHeads() {
      return svg("defs", {}, ...Object.keys(SYMBOL).map((value) =>
        svg("marker", { id: `arrow-${value}`, class: `arrow ${value}`, viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" },
          svg("path", { d: "M0 0L8 4L0 8z" }))));
    }

    // -- focus and selection ---------------------------------------------------------------------------------------

    function onKey(event) {
      const place = view.visible.findIndex((one) => one.index === view.focus);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in steps && view.visible.length) {
        const next = Math.max(0, Math.min(view.visible.length - 1, place + steps[event.key]));
        setFocus(view.visible[next].index);
      } else if ((event.key === "Enter" || event.key === " ") && view.focus !== null) { select(view.focus, true); }
      else if (event.key === "+" || event.key === "=") zoom(1.5);
      else if (event.key === "-") zoom(1 / 1.5);
      else if (event.key === "0") zoom(1 / view.zoom);
      else if (event.key === "Escape") select(null);
      else return;
      event.preventDefault();
    }

    function setFocus(index) {
      const before = view.drawn.get(view.focus);
      if (before) before.setAttribute("tabindex", -1);
      view.focus = index;
      const y = yOf(stanzas[index].began);
      if (y < scroller.scrollTop + 20 || y > scroller.scrollTop + scroller.clientHeight - 80) scroller.scrollTop = Math.max(0, y - scroller.clientHeight / 3);
      draw();
      const group = view.drawn.get(index);
      group.setAttribute("tabindex", 0);
      group.focus({ preventScroll: true });
    }

    /** Show a stanza wherever it is: filters that hide it are opened. */
    function show(index) {
      if (!stanzas[index].shown) {
        byId("filter-person").value = ""; byId("filter-server").value = ""; byId("filter-wrong").checked = false;
        for (const box of byId("filter-kinds").querySelectorAll("input")) box.checked = box.checked || box.value === stanzas[index].kind;
        layOut();
      }
      scroller.scrollIntoView({ block: "nearest" });
      setFocus(index);
      select(index);
    }

    function closure(index, key) {
      const found = new Set(), open = [index];
      while (open.length) for (const one of stanzas[open.pop()][key]) if (!found.has(one)) { found.add(one); open.push(one); }
      found.delete(index);
      return [...found].sort((a, b) => a - b);
    }

    function select(index, move) {
      if (index !== null && !stanzas[index]) return;
      view.selected = index;
      view.causes = index === null ? [] : closure(index, "causes");
      view.effects = index === null ? [] : closure(index, "effects");
      drawing.classList.toggle("has-selection", index !== null);
      for (const [place, group] of view.drawn) mark(place, group);
      if (index === null) panel.replaceChildren(html("p", { class: "muted" }, "Choose a stanza in the diagram: click it, or go to it with the arrow keys and press Enter."));
      else { describe(stanzas[index]); history.replaceState(null, "", `#stanza-${stanzas[index].original}`); if (move) byId("stanza-title").focus(); }
    }

    function mark(index, group) {
      group.classList.toggle("selected", index === view.selected);
      group.classList.toggle("related", view.selected !== null && (view.causes.includes(index) || view.effects.includes(index)));
      group.setAttribute("aria-pressed", index === view.selected);
    }

    // -- the panel -------------------------------------------------------------------------------------------------

    function describe(one) {
      const hops = one.seen.map((o) => html("tr", {},
        html("th", { scope: "row" }, lanes[o.lane] ? lanes[o.lane].title : "?"), html("td", {}, `${o.inward ? "received" : "sent"}, ${o.stream}`),
        html("td", {}, seconds(o.at)), html("td", {}, o.before < 0 ? "–" : "+" + seconds(o.at - one.seen[o.before].at) + (o.whole ? "" : " (hops between are not recorded)"))));
      const links = (title, indices) => indices.length ? html("div", {}, html("h4", {}, title), html("ul", {}, ...indices.slice(0, 30).map((index) =>
        html("li", {}, html("button", { type: "button", class: "link", click: () => show(index) }, `${label(stanzas[index])} (${seconds(stanzas[index].began)})`))))) : null;
      panel.replaceChildren(...[
        html("h3", { id: "stanza-title", tabindex: -1 }, label(one)),
        html("p", { class: one.value }, one.value === "none" ? null : html("strong", {}, one.value === "expected" ? "failed, as expected" : one.value), ` ${one.outcome}`),
        ...one.findings.map(([check, value, sentence, cause, last]) => html("p", { class: value }, html("strong", {}, `${check}: ${value}`), ` ${sentence}`,
          cause ? ` Likely cause: ${cause}.` : "", last ? ` Last seen: ${last}.` : "")),
        html("p", { class: "muted" }, one.id ? `id ${one.id}` : "without an id"),
        html("h4", {}, "Its path, and the delay of each hop"),
        html("div", { class: "scroll" }, html("table", {}, html("tbody", {}, ...hops))),
        links("Caused by", view.causes), links("Causes", view.effects),
        html("h4", {}, "As each place saw it"), ...xmlViews(one),
        html("h4", {}, "Around it"), around(one)].filter(Boolean));
    }

    function xmlViews(one) {
      if (one.seen.every((o) => o.xml === undefined)) return [html("p", { class: "muted" }, "Its XML is left out to keep the page small: history.jsonl has it.")];
      const groups = new Map();
      for (const o of one.seen) {
        const key = o.xml === null || o.xml === undefined ? "" : o.xml;
        if (!groups.has(key)) groups.set(key, []);
        groups.get(key).push(o);
      }
      return [...groups].map(([xml, seen]) => {
        const where = seen.map((o) => `${lanes[o.lane] ? lanes[o.lane].title : "?"} (${o.inward ? "received" : "sent"}, event ${o.number})`).join(", ");
        if (!xml) return html("p", { class: "muted" }, `${where}: no XML is recorded.`);
        const shown = readable(xml);
        return html("div", { class: "seen" }, html("p", {}, html("strong", {}, where)), html("pre", { tabindex: 0 }, ...shown.parts),
          html("p", { class: "muted" }, `Readable there: who writes to whom${shown.texts.length ? ", “" + shown.texts.join("”, “") + "”" : ", no text"}${shown.sealed ? "; encrypted: " + shown.sealed : ""}.`));
      });
    }

    /** The parts of a stanza: text that everybody reads is marked, what is encrypted is dimmed. */
    function readable(xml) {
      const parts = [], texts = [];
      let depth = 0, sealedAt = 0, sealed = "";
      const unescape = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"').replace(/&apos;/g, "'").replace(/&amp;/g, "&");
      for (const token of xml.match(/<[^>]*>|[^<]+|</g) || []) {
        const tag = /^<(\/?)([\w.:-]+)/.exec(token);
        if (tag) {
          const opens = !tag[1], whole = token.endsWith("/>");
          const name = tag[2].split(":").pop(), space = (/\sxmlns(?::[\w.-]+)?=["']([^"']*)["']/.exec(token) || [])[1] || "";
          const about = data.sealed[`{${space}}${name}`];
          if (opens && !sealedAt && about) { if (!whole) sealedAt = depth + 1; sealed = about; }
          if (sealedAt) parts.push(html("span", { class: "sealed" }, token));
          else for (const piece of token.split(/(\s(?:from|to)=(?:"[^"]*"|'[^']*'))/)) if (piece) parts.push(/^\s(from|to)=/.test(piece) ? html("mark", { class: "who" }, piece) : html("span", {}, piece));
          if (opens && !whole) depth += 1;
          if (!opens) { if (depth === sealedAt) sealedAt = 0; depth -= 1; }
        } else if (sealedAt || !token.trim()) parts.push(html("span", { class: "sealed" }, token));
        else {
          const body = Object.keys(data.sealed_bodies).find((begins) => unescape(token).startsWith(begins));
          if (body !== undefined) { parts.push(html("span", { class: "sealed" }, token)); sealed = data.sealed_bodies[body]; continue; }
          parts.push(html("mark", {}, unescape(token)));
          texts.push(unescape(token));
        }
      }
      return { parts, texts, sealed };
    }

    function around(one) {
      const near = data.lines.filter(([at, servers]) => at >= one.began - AROUND.before && at <= one.ended + AROUND.after &&
        (!servers.length || servers.some((server) => one.servers.has(server))));
      if (!near.length) return html("p", { class: "muted" }, "Nothing else is recorded of its servers from 1 s before until 5 s after it.");
      return html("ol", { class: "around" }, ...near.slice(0, AROUND.most).map(([at, , text]) => html("li", {}, html("b", {}, (at >= one.began ? "+" : "") + seconds(at - one.began)), ` ${text}`)),
        near.length > AROUND.most ? html("li", {}, `and ${near.length - AROUND.most} more`) : null);
    }
  }

  const bare = (jid) => jid.split("/")[0];
  const short = (jid) => { const [account, resource] = jid.split("/"); const user = account.includes("@") ? account.split("@")[0] : account; return resource === undefined ? (account.includes("@") ? account : user) : `${user}/${resource}`; };
})();

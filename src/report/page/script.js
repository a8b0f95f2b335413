"use strict";
// Search and filters over what is on the page already.
const words = { fail: "\u2717 failing", open: "? open", pass: "\u2713 holding", note: "notes" };
for (const box of document.querySelectorAll(".filtered")) {
  const items = [...box.querySelectorAll(".finding, tbody > tr")];
  if (items.length < 8) continue;
  const label = box.dataset.label || "rows";
  const tools = document.createElement("div");
  tools.className = "tools";
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Search " + label;
  search.setAttribute("aria-label", "Search " + label);
  tools.append(search);
  const kinds = Object.keys(words).filter((kind) => items.some((item) => item.dataset.v === kind));
  const chosen = new Set(kinds);
  if (kinds.length > 1) {
    for (const kind of kinds) {
      const check = document.createElement("input");
      check.type = "checkbox";
      check.checked = true;
      check.addEventListener("change", () => {
        if (check.checked) chosen.add(kind);
        else chosen.delete(kind);
        show();
      });
      const name = document.createElement("label");
      name.append(check, " " + words[kind]);
      tools.append(name);
    }
  }
  const count = document.createElement("span");
  count.className = "dim";
  count.setAttribute("role", "status");
  tools.append(count);
  let texts = null;
  const show = () => {
    texts ??= items.map((item) => (item.textContent + " " + (item.title || "")).toLowerCase());
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    items.forEach((item, at) => {
      const kind = item.dataset.v;
      const fits = (!kind || chosen.has(kind)) && wanted.every((word) => texts[at].includes(word));
      item.hidden = !fits;
      if (fits) shown += 1;
    });
    for (const group of box.querySelectorAll(".group")) {
      group.hidden = !group.querySelector(".finding:not([hidden])");
      if (wanted.length) group.open = true;
    }
    count.textContent = shown === items.length ? "" : shown + " of " + items.length;
  };
  search.addEventListener("input", show);
  box.prepend(tools);
}
// What is folded is printed too.
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not([open])")) {
    one.dataset.folded = "";
    one.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const one of document.querySelectorAll("details[data-folded]")) {
    delete one.dataset.folded;
    one.open = false;
  }
});

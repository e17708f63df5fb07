// The search over window.INDEX: [kind, title, shown, address, further words]; every word typed has to occur.
"use strict";
(() => {
  const MOST = 40;
  const box = document.getElementById("search");
  const results = document.getElementById("results");
  const root = document.body.dataset.root;
  const entries = window.INDEX.map(([kind, title, shown, address, more], place) => ({
    kind, title, shown, address, place,
    keys: [title, ...shown.split(" · "), ...more.split(" ")].map((key) => key.toLowerCase()),
    text: `${title} ${shown} ${more}`.toLowerCase(),
  }));
  let chosen = -1;

  const rank = (entry, words) => {
    let total = 0;
    for (const word of words) {
      if (!entry.text.includes(word)) return -1;
      if (entry.keys.includes(word)) total += 8;
      else if (entry.keys.some((key) => key.startsWith(word))) total += 4;
      if (entry.title.toLowerCase().includes(word)) total += 3;
    }
    return total + (entry.kind === "实体" ? 0.5 : 0);
  };

  const find = (asked) => {
    const words = asked.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return { words, found: [] };
    const found = entries.map((entry) => ({ entry, rank: rank(entry, words) })).filter((one) => one.rank >= 0);
    found.sort((one, other) => other.rank - one.rank || one.entry.place - other.entry.place);
    return { words, found: found.map((one) => one.entry) };
  };

  const marked = (name, text, words) => {
    const made = document.createElement(name);
    const lower = text.toLowerCase();
    let done = 0;
    while (done < text.length) {
      const next = words
        .map((word) => [lower.indexOf(word, done), word.length])
        .filter(([at]) => at >= 0)
        .sort((one, other) => one[0] - other[0] || other[1] - one[1])[0];
      if (!next) break;
      made.append(text.slice(done, next[0]));
      const mark = document.createElement("mark");
      mark.textContent = text.slice(next[0], next[0] + next[1]);
      made.append(mark);
      done = next[0] + next[1];
    }
    made.append(text.slice(done));
    return made;
  };

  const choose = (number) => {
    const links = results.querySelectorAll("a");
    if (!links.length) return;
    chosen = (number + links.length) % links.length;
    links.forEach((one, place) => one.setAttribute("aria-selected", String(place === chosen)));
    links[chosen].scrollIntoView({ block: "nearest" });
  };

  const close = () => {
    results.hidden = true;
    box.setAttribute("aria-expanded", "false");
  };

  const show = () => {
    const { words, found } = find(box.value);
    results.replaceChildren();
    chosen = -1;
    if (!words.length) return close();
    for (const entry of found.slice(0, MOST)) {
      const line = document.createElement("a");
      line.href = root + entry.address;
      line.setAttribute("role", "option");
      const kind = document.createElement("span");
      kind.className = "kind";
      kind.textContent = entry.kind;
      line.append(kind, marked("strong", entry.title, words), marked("small", entry.shown, words));
      results.append(line);
    }
    const note = document.createElement("p");
    note.textContent = found.length > MOST ? `共 ${found.length} 项，列出前 ${MOST} 项` : found.length ? `共 ${found.length} 项` : "没有找到";
    results.append(note);
    results.hidden = false;
    results.scrollTop = 0;
    box.setAttribute("aria-expanded", "true");
    if (found.length) choose(0);
  };

  const openTarget = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const attributes = target && target.querySelector("details");
    if (attributes) attributes.open = true;
  };

  box.addEventListener("input", show);
  box.addEventListener("focus", show);
  box.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && !results.hidden) {
      results.querySelectorAll("a")[chosen]?.click();
    } else if (event.key === "Escape") {
      box.blur();
      close();
    }
  });
  results.addEventListener("click", close);
  document.addEventListener("click", (event) => event.target.closest(".search") || close());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && document.activeElement !== box) {
      event.preventDefault();
      box.focus();
    }
  });
  const here = document.querySelector("aside [aria-current]");
  if (here) {
    const aside = here.closest("aside");
    aside.scrollTop = here.offsetTop - aside.offsetTop - aside.clientHeight / 2;
  }
  window.addEventListener("hashchange", openTarget);
  openTarget();
})();

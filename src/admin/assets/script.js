// Comfort only: every page works without. Keys to get about, and pages that keep up to date.
"use strict";

(() => {
  const field = () => document.querySelector("input[type=search]");
  const rows = () => [...document.querySelectorAll("tr[data-row]")];
  const writing = (e) => e.target.closest("input, select, textarea, [contenteditable]");
  let waitsForPage = 0;

  const choose = (step) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("chosen"));
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
    all.forEach((row) => row.classList.remove("chosen"));
    all[next].classList.add("chosen");
    const link = all[next].querySelector("a");
    if (link) link.focus({ preventScroll: true });
    all[next].scrollIntoView({ block: "nearest" });
  };

  const help = () => {
    const dialog = document.getElementById("keys");
    if (!dialog) return;
    if (dialog.open) dialog.close();
    else dialog.showModal();
  };

  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (writing(e)) {
      if (e.key === "Escape") e.target.blur();
      return;
    }
    if (waitsForPage && Date.now() - waitsForPage < 1500) {
      waitsForPage = 0;
      const link = document.querySelector(`nav a[data-go="${CSS.escape(e.key)}"]`);
      if (link) {
        e.preventDefault();
        link.click();
      }
      return;
    }
    const actions = {
      j: () => choose(1),
      k: () => choose(-1),
      g: () => { waitsForPage = Date.now(); },
      "/": () => { const input = field(); if (input) { input.focus(); input.select(); } else location.href = "/admin/audit?focus=search"; },
      "?": help,
      u: () => { const up = document.querySelector("a[rel=up]"); if (up) up.click(); },
    };
    const act = Object.hasOwn(actions, e.key) && actions[e.key];
    if (act) {
      e.preventDefault();
      act();
    }
  });

  const opener = document.getElementById("show-keys");
  if (opener) {
    opener.hidden = false;
    opener.addEventListener("click", help);
  }

  // Times of the reader's own place, where the server knows only those of UTC.
  const localise = (within) => {
    const two = (n) => String(n).padStart(2, "0");
    const today = new Date().toDateString();
    for (const time of within.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
      time.title = time.textContent;
      time.textContent = at.toDateString() === today ? clock : `${day} ${clock}`;
    }
  };
  localise(document);

  // The page is fetched again as a whole; only what changes is put in its place.
  const live = document.querySelector("[data-refresh]");
  if (live) {
    const every = Number(live.dataset.refresh) * 1000;
    const refresh = async () => {
      const selecting = getSelection() && !getSelection().isCollapsed;
      if (!document.hidden && !selecting) {
        try {
          const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "manual" });
          if (answer.type === "opaqueredirect") return location.reload();
          if (answer.ok) {
            const page = new DOMParser().parseFromString(await answer.text(), "text/html");
            const fresh = page.querySelector("[data-refresh]");
            const at = document.activeElement && document.activeElement.getAttribute("href");
            if (fresh) {
              live.replaceChildren(...fresh.childNodes);
              localise(live);
            }
            if (at && !document.activeElement.getAttribute("href")) {
              const again = live.querySelector(`a[href="${CSS.escape(at)}"]`);
              if (again) again.focus({ preventScroll: true });
            }
          }
        } catch {
          // Strait is away; the next time may do better.
        }
      }
      setTimeout(refresh, every);
    };
    setTimeout(refresh, every);
  }

  if (new URLSearchParams(location.search).has("focus")) {
    const input = field();
    if (input) input.focus();
  }
})();

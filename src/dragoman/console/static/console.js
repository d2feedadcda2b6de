/* What HTML alone does not do: shortcuts, and choosing all rows of a page. Every page works without
   this file. Shortcuts of one letter can be switched off (WCAG 2.1.4): see the list behind "?". */
"use strict";
(() => {
  const OFF = "dragoman.shortcuts.off";
  const PAGES = { o: "/", p: "/people", h: "/history", s: "/settings" };
  const nav = document.getElementById("nav");
  const keys = document.getElementById("keys");
  const base = document.querySelector("a.brand")?.getAttribute("href")?.replace(/\/$/, "");
  let pending = 0;

  const isOff = () => {
    try { return localStorage.getItem(OFF) === "1"; } catch { return false; }
  };

  const choice = document.getElementById("keys-off");
  if (choice) {
    choice.checked = isOff();
    choice.addEventListener("change", () => {
      try { localStorage.setItem(OFF, choice.checked ? "1" : "0"); } catch { /* kept for this page */ }
    });
  }

  const rows = () => [...document.querySelectorAll("table.list > tbody > tr:not(.day)")];
  const link = (row) => row?.querySelector("th a, td a");
  const current = () => rows().findIndex((row) => row.contains(document.activeElement));

  function step(by) {
    const all = rows();
    const next = all[Math.min(Math.max(current() + by, 0), all.length - 1)];
    link(next)?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  /* Follow a link of the page itself: a page that an entry would refuse has no such entry. */
  function open(path) {
    const entry = [...(nav?.querySelectorAll("a") ?? [])].find(
      (each) => each.getAttribute("href") === base + path);
    if (entry) location.assign(entry.href);
  }

  const DO = {
    "?": () => keys?.togglePopover(),
    "/": () => document.querySelector("form.filters input[type=search]")?.focus(),
    j: () => step(1),
    k: () => step(current() < 0 ? 1 : -1),
    x: () => rows()[current()]?.querySelector("input[type=checkbox]")?.click(),
    e: () => document.querySelector("a[data-key=e]")?.click(),
    n: () => document.querySelector("a[data-key=n]")?.click(),
    m: () => document.querySelector("a[data-key=m]")?.click(),
  };

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      const goTo = document.getElementById("goto");
      if (goTo) { event.preventDefault(); goTo.focus(); goTo.select(); }
      return;
    }
    const typing = event.target.closest?.("input:not([type=checkbox]), select, textarea");
    if (event.key === "Escape" && typing) { typing.blur(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || isOff()) return;
    if (event.timeStamp < pending && PAGES[event.key]) {
      pending = 0;
      event.preventDefault();
      open(PAGES[event.key]);
    } else if (event.key === "g") {
      pending = event.timeStamp + 1000;
    } else if (DO[event.key]) {
      event.preventDefault();
      DO[event.key]();
    }
  });

  /* The box in the head of a list chooses its rows. */
  document.querySelector("thead input[name=all]")?.addEventListener("change", (event) => {
    for (const box of document.querySelectorAll("tbody input[name=id]")) box.checked = event.target.checked;
  });
})();

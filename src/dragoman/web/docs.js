/* The documentation page works without this script, which adds: search, buttons to copy, a choice of language. */
"use strict";

const page = document.documentElement;
const contents = document.querySelector("nav details");
const copied = document.createElement("p");

function element(name, attributes, text) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/* Search: entries of the contents whose texts have all words; those with the words in their names stand out. */
function addSearch() {
  const box = document.getElementById("search");
  const found = document.getElementById("found");
  const entries = Array.from(contents.querySelectorAll("li"), (entry) => {
    const target = document.getElementById(entry.firstElementChild.hash.slice(1));
    const path = target?.querySelector(".path")?.textContent ?? "";
    return {
      entry,
      name: `${entry.textContent} ${path}`.toLowerCase(),
      text: `${entry.textContent} ${target?.textContent ?? ""}`.toLowerCase(),
    };
  });
  const lists = Array.from(contents.querySelectorAll("ul"));

  function search() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { entry, name, text } of entries) {
      entry.hidden = !words.every((word) => text.includes(word));
      entry.classList.toggle("mention", !words.every((word) => name.includes(word)));
      count += entry.hidden ? 0 : 1;
    }
    for (const list of lists) {
      list.hidden = !list.querySelector("li:not([hidden])");
      if (list.previousElementSibling.matches("h2")) list.previousElementSibling.hidden = list.hidden;
    }
    found.textContent = words.length ? `${count} of ${entries.length} entries` : "";
    if (words.length) contents.open = true;
  }

  box.addEventListener("input", search);
  box.addEventListener("keydown", (event) => {
    const first = ["li:not([hidden], .mention) a", "li:not([hidden]) a"]
      .map((selector) => contents.querySelector(selector))
      .find(Boolean);
    if (event.key === "Enter") first?.click();
    if (event.key === "Escape") {
      box.value = "";
      search();
    }
  });
  box.closest("[hidden]").hidden = false;
}

/* The clipboard has an interface on secure pages only; elsewhere, what is selected is copied. */
async function copy(code) {
  if (navigator.clipboard) return navigator.clipboard.writeText(code.textContent);
  getSelection().selectAllChildren(code);
  if (!document.execCommand("copy")) throw new Error("not copied");
  getSelection().removeAllRanges();
}

function addCopyButtons() {
  copied.className = "unseen";
  copied.setAttribute("role", "status");
  document.body.append(copied);
  for (const block of document.querySelectorAll(".listing")) {
    const caption = block.parentElement.querySelector("figcaption")?.textContent ?? "example";
    const button = element("button", { type: "button", "aria-label": `Copy: ${caption}` }, "Copy");
    button.addEventListener("click", async () => {
      button.textContent = await copy(block.querySelector("code")).then(() => "Copied", () => "Press Ctrl+C");
      copied.textContent = button.textContent;
      setTimeout(() => { button.textContent = "Copy"; copied.textContent = ""; }, 2000);
    });
    block.append(button);
  }
}

/* One language at a time, the same one everywhere, remembered by the browser where it may be. */
function addLanguages() {
  const buttons = [];

  function choose(language) {
    page.dataset.language = language;
    for (const button of buttons) button.setAttribute("aria-pressed", button.textContent === language);
    try { localStorage.setItem("language", language); } catch { /* storage is off */ }
  }

  for (const samples of document.querySelectorAll(".samples")) {
    const group = element("div", { role: "group", "aria-label": "Language of the example request" }, "");
    for (const { dataset: { language } } of samples.querySelectorAll(".sample")) {
      const button = element("button", { type: "button" }, language);
      button.addEventListener("click", () => {
        const before = button.getBoundingClientRect().top;
        choose(language);
        scrollBy(0, button.getBoundingClientRect().top - before);
      });
      buttons.push(button);
      group.append(button);
    }
    samples.prepend(group);
  }
  let remembered = null;
  try { remembered = localStorage.getItem("language"); } catch { /* storage is off */ }
  choose(buttons.some((button) => button.textContent === remembered) ? remembered : "curl");
}

/* The Tab key stops at code only where it has to be scrolled: hundreds of examples fit. */
function skipWhatFits() {
  const observer = new ResizeObserver((resized) => {
    for (const { target } of resized) target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
  });
  for (const block of document.querySelectorAll("pre, .table")) observer.observe(block);
}

addSearch();
addCopyButtons();
addLanguages();
skipWhatFits();
if (!matchMedia("(min-width: 60rem)").matches) contents.open = false;

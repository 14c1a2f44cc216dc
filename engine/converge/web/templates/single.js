"use strict";
// One file holds all pages: the part of the address behind # says which one is shown, and how it is filtered.
const pages = Array.from(document.querySelectorAll(".page"));
const links = Array.from(document.querySelectorAll(".top nav a"));
const rows = Array.from(document.querySelectorAll("tr[data-past]"));
const form = document.querySelector("form.filters");
const count = document.querySelector("#count strong");
let shown = "";

function asked() {
  const [path, query] = location.hash.slice(1).split("?");
  return [path || "/", new URLSearchParams(query || "")];
}

function filter(query) {
  const [name, status, finding] = ["q", "status", "finding"].map((each) => query.get(each) || "");
  let fitting = 0;
  for (const row of rows) {
    const { key, status: held, finding: found } = row.dataset;
    const fits = key.toLowerCase().includes(name.trim().toLowerCase())
      && (!status || held.split(" ").includes(status)) && (!finding || found === finding);
    if (row.hidden === fits) row.hidden = !fits;
    fitting += fits;
  }
  count.textContent = fitting.toLocaleString("en");
  form.elements.q.value = name;
  form.elements.status.value = status;
}

function tell(name) {
  const row = rows.find((each) => each.dataset.key === name);
  document.getElementById("name").textContent = name;
  const lead = document.getElementById("lead");
  const past = document.getElementById("past");
  lead.replaceChildren(...(row ? [row.querySelector(".badge").cloneNode(true), " last seen ",
    row.lastElementChild.firstElementChild.cloneNode(true)] : ["No such host."]));
  past.replaceChildren(...(row && row.dataset.past ? row.dataset.past.split(" ") : []).map((each) => {
    const [run, finding] = each.split(".");
    const entry = document.createElement("article");
    entry.className = "card";
    entry.append(...[`r${run}`, `f${finding}`].map((id) => document.getElementById(id).content.cloneNode(true)));
    return entry;
  }));
  if (row && !row.dataset.past) past.textContent = "In order in all of these runs.";
}

function show() {
  const [path, query] = asked();
  const page = pages.find((each) => each.dataset.path === path) || pages[0];
  for (const each of pages) each.hidden = each !== page;
  const section = path === "/host" ? "/hosts" : page.dataset.path;
  for (const link of links) {
    if (link.getAttribute("href") === `#${section}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (path === "/hosts") filter(query);
  if (path === "/host") tell(query.get("name") || "");
  if (shown && shown !== location.hash) document.getElementById("main").focus();
  shown = location.hash || "#/";
}

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => {
  const given = new URLSearchParams(Array.from(new FormData(form)).filter(([, value]) => value));
  history.replaceState(null, "", `#/hosts?${given}`);
  shown = location.hash;
  filter(given);
});
window.addEventListener("hashchange", show);
show();

"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const form = document.getElementById("filter");
const rows = Array.from(document.querySelectorAll("#hosts tbody tr"));
const names = rows.map((row) => row.dataset.name.toLowerCase());
const count = document.getElementById("count");
const story = document.getElementById("story");

function word(status) {
  return { drift: "would change", "would-undo": "would undo" }[status] || status;
}

function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// The part behind # holds the filter and the host told of, so that a view can be kept and linked.
function read() {
  return new URLSearchParams(location.hash.slice(1));
}

function write(changes) {
  const held = read();
  for (const [key, value] of Object.entries(changes)) {
    if (value) held.set(key, value); else held.delete(key);
  }
  history.replaceState(null, "", "#" + held.toString());
}

function filter() {
  const wanted = form.elements.name.value.trim().toLowerCase();
  const status = form.elements.status.value;
  let shown = 0;
  rows.forEach((row, number) => {
    const fits = names[number].includes(wanted) && (!status || row.dataset.status === status);
    if (row.hidden === fits) row.hidden = !fits;
    shown += fits;
  });
  count.textContent = `${shown} of ${rows.length} hosts`;
}

function finding(number) {
  const [status, error, resources] = data.findings[number];
  const list = element("ul", "");
  if (error) list.append(element("li", error));
  for (const resource of resources) list.append(element("li", resource));
  return [status, list];
}

function tell(name) {
  const past = Object.hasOwn(data.past, name) ? data.past[name] : null;
  const row = rows.find((each) => each.dataset.name === name);
  story.hidden = !row;
  if (!row) return;
  story.replaceChildren(element("h3", name));
  const now = element("p", "Now: ");
  now.append(element("span", word(row.dataset.status), "mark " + row.dataset.status));
  story.append(now);
  for (const [run, number] of past || []) {
    const [status, list] = finding(number);
    const head = element("p", `${data.runs[run][1]}  ${data.runs[run][2]}  ${data.runs[run][0]}: `);
    head.append(element("span", word(status), "mark " + status));
    story.append(head, list);
  }
  if (!past) story.append(element("p", "In order in all of these runs."));
  const close = element("button", "Close");
  close.type = "button";
  close.addEventListener("click", () => { write({ host: "" }); story.hidden = true; row.querySelector("a").focus(); });
  story.append(close);
}

function restore() {
  const held = read();
  form.elements.name.value = held.get("name") || "";
  form.elements.status.value = held.get("status") || "";
  filter();
  tell(held.get("host") || "");
}

form.hidden = false;
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => {
  write({ name: form.elements.name.value, status: form.elements.status.value });
  filter();
});
document.querySelector("#hosts tbody").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  write({ host: link.closest("tr").dataset.name });
  tell(link.closest("tr").dataset.name);
  story.focus();
  story.scrollIntoView({ block: "nearest" });
});
window.addEventListener("hashchange", restore);
restore();

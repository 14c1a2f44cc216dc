"use strict";
// Keeps a page as it would be if it were loaded now, in place: scroll, focus and opened parts stay as they are.

const EVERY = 2000; // milliseconds between two looks
const SLOWEST = 30000; // after failures
const live = document.getElementById("live");
const words = document.getElementById("live-words");
const said = document.getElementById("said");
const skew = Date.parse(document.documentElement.dataset.now) - Date.now();
let etag = "";
let pause = EVERY;
let timer = 0;
let asked = 0;
let shown = location.pathname + location.search;

function now() {
  return Date.now() + skew;
}

function ago(stamp) {
  const seconds = (now() - Date.parse(stamp)) / 1000;
  const size = Math.abs(seconds);
  const units = [[172800, 86400, "days"], [7200, 3600, "h"], [120, 60, "min"], [0, 1, "s"]];
  const [, unit, name] = units.find(([least]) => size >= least);
  const told = `${Math.floor(size / unit)} ${name}`;
  return seconds >= 0 ? `${told} ago` : `in ${told}`;
}

function tellAges(root) {
  for (const each of root.querySelectorAll("[data-ago]")) {
    const told = ago(each.dataset.ago);
    if (each.textContent !== told) each.textContent = told;
  }
}

function state(kind, text) {
  if (live.dataset.state !== kind) live.dataset.state = kind;
  if (words.textContent !== text) words.textContent = text;
}

// What a visitor did to an element is his: what he opened, what he is writing.
function attributes(old, fresh) {
  for (const { name } of Array.from(old.attributes)) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !(name === "open" && old.localName === "details")) old.setAttribute(name, value);
  }
}

function key(node) {
  return node.nodeType === 1 && node.dataset.key !== undefined ? `${node.localName} ${node.dataset.key}` : "";
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && key(one) === key(other);
}

function morph(old, fresh) {
  if (old.nodeType !== 1) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.isEqualNode(fresh)) return;
  attributes(old, fresh);
  if (old.dataset.ago !== undefined || (old.localName === "input" && old === document.activeElement)) return;
  const kept = new Map();
  for (const child of old.childNodes) if (key(child)) kept.set(key(child), child);
  let place = old.firstChild;
  for (const wanted of Array.from(fresh.childNodes)) {
    const known = key(wanted) ? kept.get(key(wanted)) : place && alike(place, wanted) ? place : null;
    if (!known) {
      const made = document.importNode(wanted, true);
      if (made.nodeType === 1 && made.localName === "tr") made.classList.add("fresh");
      old.insertBefore(made, place);
      continue;
    }
    if (known === place) place = place.nextSibling; else old.insertBefore(known, place);
    morph(known, wanted);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function announce(before) {
  const lead = document.querySelector("main [data-said]");
  const told = lead ? lead.cloneNode(true) : null;
  if (!told) return "";
  for (const each of told.querySelectorAll(".ago, time")) each.remove();
  const text = told.textContent.replace(/\s+/g, " ").trim();
  if (before !== null && text !== before) said.textContent = text;
  return text;
}

async function look() {
  const number = ++asked;
  const headers = { Accept: "text/html" };
  if (etag) headers["If-None-Match"] = etag;
  const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "manual", credentials: "same-origin" });
  if (number !== asked) return;
  if (answer.type === "opaqueredirect") { location.reload(); return; }
  if (answer.status === 304) return;
  const text = await answer.text();
  if (number !== asked) return;
  etag = answer.headers.get("ETag") || "";
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const before = announce(null);
  const main = fresh.getElementById("main");
  if (!main) return;
  morph(document.getElementById("main"), main);
  if (document.title !== fresh.title) document.title = fresh.title;
  tellAges(document);
  announce(before);
}

async function again() {
  clearTimeout(timer);
  if (document.hidden || document.querySelector(".login")) return;
  try {
    await look();
    pause = EVERY;
    state("live", "live");
  } catch {
    pause = Math.min(pause * 2, SLOWEST);
    state("lost", "not reached, trying again");
  }
  clearTimeout(timer);
  timer = setTimeout(again, pause);
}

// A filter changes the address, and the page follows: a reload, a link and the back button all give the same view.
function follow(form, push) {
  const given = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) given.append(name, value);
  const query = given.toString();
  const target = new URL(form.getAttribute("action"), location.href).pathname + (query ? `?${query}` : "");
  if (target === shown) return;
  if (push) history.pushState(null, "", target); else history.replaceState(null, "", target);
  shown = target;
  etag = "";
  again();
}

let waiting = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form.filters");
  if (!form || event.target.localName !== "input") return;
  clearTimeout(waiting);
  waiting = setTimeout(() => follow(form, false), 250);
});
document.addEventListener("change", (event) => {
  const form = event.target.closest("form.filters");
  if (form && event.target.localName === "select") follow(form, true);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form.filters")) return;
  event.preventDefault();
  clearTimeout(waiting);
  follow(event.target, true);
});
window.addEventListener("popstate", () => {
  if (shown !== location.pathname + location.search) location.reload(); // a jump within the page changes neither
});
document.addEventListener("visibilitychange", again);
setInterval(() => tellAges(document), 10000);
tellAges(document);
timer = setTimeout(again, EVERY / 4);

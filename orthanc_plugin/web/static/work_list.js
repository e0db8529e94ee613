// The work list: search, filter, sort, names from the archive, and rows that renew themselves.

import { Archive } from "./study_page/archive.js";

const RENEW_MS = 5000;
const WHOLE_EVERY = 60; // of so many renewals one asks for all rows, the others for those that moved
const table = document.getElementById("studies");
const archive = new Archive(table.dataset.root);
const [search, state, count] = ["search", "state", "count"].map((id) => document.getElementById(id));
const headings = new Map();
let order = null; // {column, descending}

const rows = () => [...table.tBodies[0].rows];
const collator = new Intl.Collator();
const texts = new WeakMap(); // what a row is searched by

function textOf(row) {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
}

function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let [shown, all] = [0, 0];
    for (const row of table.tBodies[0].rows) {
        const isHidden = Boolean((state.value && row.dataset.state !== state.value) || !words.every((word) => textOf(row).includes(word)));
        if (row.hidden !== isHidden) row.hidden = isHidden;
        [shown, all] = [shown + !isHidden, all + 1];
    }
    count.textContent = `${shown} of ${all} studies`;
}

// Once for all names that came since the last drawing.
function filterSoon() {
    filterSoon.pending ??= requestAnimationFrame(() => { filterSoon.pending = null; filter(); });
}

function sort() {
    if (!order) return;
    const isNumber = table.tHead.rows[0].cells[order.column].firstElementChild.dataset.sort === "number";
    const keyed = rows().map((row) => {
        const key = row.cells[order.column].dataset.key ?? row.cells[order.column].textContent.trim();
        return { row, key: isNumber ? Number(key) : key };
    });
    const compare = isNumber ? (a, b) => a.key - b.key : (a, b) => collator.compare(a.key, b.key);
    keyed.sort((a, b) => (order.descending ? compare(b, a) : compare(a, b)));
    table.tBodies[0].append(...keyed.map(({ row }) => row));
    for (const [index, cell] of [...table.tHead.rows[0].cells].entries()) {
        cell.setAttribute("aria-sort", index !== order.column ? "none" : order.descending ? "descending" : "ascending");
    }
}

// Names are asked of the archive for rows that come into sight, once each; they are shown here and kept nowhere.
const inSight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) name(target);
});

async function name(row) {
    inSight.unobserve(row);
    const study = row.dataset.study;
    if (!headings.has(study)) headings.set(study, archive.heading(study).catch(() => null));
    const heading = await headings.get(study);
    row.querySelector(".patient").textContent = heading ? heading.patient.replaceAll("^", " ").trim() || heading.id : "not in the archive";
    row.querySelector(".description").textContent = heading ? [heading.description, heading.date].filter(Boolean).join(" · ") : "";
    texts.delete(row);
    filterSoon();
}

function arrange() {
    for (const row of rows()) inSight.observe(row);
    sort();
    filter();
}

let renewals = 0;

async function renew() {
    const asked = new URL(location.href);
    if (++renewals % WHOLE_EVERY) asked.searchParams.set("since", table.dataset.now);
    const answer = await fetch(asked, { headers: { Accept: "text/html" } }).catch(() => null);
    if (answer?.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        table.dataset.now = page.getElementById("studies").dataset.now;
        if (take(page.querySelectorAll("#studies tbody tr"))) arrange();
    }
    setTimeout(renew, RENEW_MS);
}

// Puts rows that changed, and those that are new, into the table; whether there were any.
function take(fresh) {
    const known = new Map(fresh.length ? rows().map((row) => [row.dataset.study, row]) : []);
    let changed = false;
    for (const row of fresh) {
        const old = known.get(row.dataset.study);
        if (old?.cells[0].textContent === row.cells[0].textContent && old.cells[4].dataset.key === row.cells[4].dataset.key) continue;
        const own = document.importNode(row, true);
        old ? old.replaceWith(own) : table.tBodies[0].prepend(own);
        changed = true;
    }
    return changed;
}

for (const [column, cell] of [...table.tHead.rows[0].cells].entries()) {
    cell.querySelector("button")?.addEventListener("click", () => {
        order = { column, descending: order?.column === column ? !order.descending : column === 1 || column === 4 };
        sort();
    });
}
document.querySelector(".filter").addEventListener("submit", (event) => event.preventDefault());
search.addEventListener("input", filter);
state.addEventListener("change", filter);
arrange();
setTimeout(renew, RENEW_MS);

// What somebody says of a finding, sent to the service and shown below.

const form = document.getElementById("judge");

form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { finding, verdict, comment, answer } = form.elements;
    const said = { ...JSON.parse(finding.value), verdict: verdict.value, comment: comment.value };
    const response = await fetch(form.dataset.url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(said),
    });
    if (!response.ok) {
        answer.textContent = response.status === 403 ? "you may not judge" : `refused (${response.status})`;
        return;
    }
    const { person } = await response.json();
    const [entry, name] = ["li", "b"].map((kind) => document.createElement(kind));
    name.textContent = said.finding;
    entry.append(name, ` ${said.verdict}`, person ? ` by ${person}` : "", said.comment ? `: ${said.comment}` : "");
    document.querySelector(".judgements").append(entry);
    [comment.value, answer.textContent] = ["", "kept"];
});

// A new version of the report with what was said so far, and how far it is.

const versions = document.getElementById("versions");

versions?.querySelector("button").addEventListener("click", async () => {
    const [button, answer] = [versions.querySelector("button"), versions.querySelector("output")];
    button.disabled = true;
    const response = await fetch(versions.dataset.url, { method: "POST" });
    const said = await response.json().catch(() => ({}));
    answer.textContent = response.ok ? "" : response.status === 403 ? "you may not judge" : said.detail ?? `refused (${response.status})`;
    if (response.ok) await followVersions();
    button.disabled = false;
});

async function followVersions() {
    for (;;) {
        const response = await fetch(versions.dataset.url).catch(() => null);
        const all = response?.ok ? await response.json() : [];
        versions.querySelector("ul").replaceChildren(...all.map(versionEntry));
        if (all.length && all.every(({ state }) => ["stored", "failed", "superseded", "not-applicable"].includes(state))) return;
        await new Promise((done) => setTimeout(done, 1500));
    }
}

function versionEntry({ state, reason, judgements, report }) {
    const [entry, link, words] = ["li", "a", "small"].map((kind) => document.createElement(kind));
    entry.dataset.state = state;
    [link.textContent, link.href, words.textContent] = ["file", `${versions.dataset.root}instances/${report}/file`, reason ?? ""];
    entry.append(`SR with ${judgements} judgement${judgements === 1 ? "" : "s"}: ${state}`, ...(report ? [" · ", link] : []), " ", words);
    return entry;
}

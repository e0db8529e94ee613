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

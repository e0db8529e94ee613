// The buttons that ask for a run, and a page that renews itself while something is under way.

for (const button of document.querySelectorAll("button[data-run]")) {
    button.addEventListener("click", async () => {
        button.disabled = true;
        const answer = await fetch(button.dataset.run, { method: "POST" });
        if (answer.ok) setTimeout(() => location.reload(), 1500);
        else button.textContent = `refused (${answer.status})`;
    });
}

if (document.querySelector("[data-under-way]")) setTimeout(() => location.reload(), 5000);

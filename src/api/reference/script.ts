/** The page's only script: copy buttons and a filter. The page is whole without it. */
export const DOCS_SCRIPT = `
for (const example of document.querySelectorAll("pre[data-copy]")) {
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(example.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  example.append(button);
}
const filter = document.querySelector("#filter");
filter.hidden = false;
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\\s+/);
  for (const entry of document.querySelectorAll("[data-search]")) {
    entry.hidden = !words.every((word) => entry.dataset.search.includes(word));
  }
});
`;

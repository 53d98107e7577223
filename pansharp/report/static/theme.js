// Switch between the system's colours, light and dark; remembered where the browser allows it.
(() => {
  "use strict";
  const KEY = "pansharp-theme";
  const root = document.documentElement;
  const button = document.querySelector("[data-theme-switch]");
  const choices = ["system", "light", "dark"];
  const recall = () => {
    try { return localStorage.getItem(KEY); } catch { return null; }
  };
  const keep = (value) => {
    try { localStorage.setItem(KEY, value); } catch { /* a page of a file may have no store */ }
  };
  let current = choices.includes(recall()) ? recall() : "system";
  const show = () => {
    if (current === "system") delete root.dataset.theme;
    else root.dataset.theme = current;
    button.textContent = `Theme: ${current}`;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    current = choices[(choices.indexOf(current) + 1) % choices.length];
    keep(current);
    show();
  });
  show();
})();

// The switch between light and dark: the system's choice until the reader makes one, which the page keeps.
(function () {
  "use strict";
  const root = document.documentElement, button = document.getElementById("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  function kept() { try { return localStorage.getItem("devicekit-theme"); } catch { return null; } }
  function show(choice) {
    if (choice) root.dataset.theme = choice; else delete root.dataset.theme;
    if (button) button.setAttribute("aria-pressed", String((choice || (dark.matches ? "dark" : "light")) === "dark"));
    document.dispatchEvent(new CustomEvent("theme"));
  }
  show(kept());
  dark.addEventListener("change", () => show(kept()));
  if (button) button.addEventListener("click", () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    try { localStorage.setItem("devicekit-theme", next); } catch { /* a page opened without storage forgets */ }
    show(next);
  });
})();

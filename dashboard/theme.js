// Which colours: the system's, unless the reader chose otherwise on this machine. This runs before the page is painted,
// and so is no module: a module would come late, and the page would flash in the wrong colours first.

(function () {
  const KEY = "agentkeeper.theme";
  const CHOICES = ["auto", "light", "dark"];

  // Storage throws where a browser is told to keep nothing. Then the choice holds until the page is closed.
  function kept() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  function keep(choice) {
    try {
      localStorage.setItem(KEY, choice);
    } catch {}
  }

  let choice = CHOICES.includes(kept()) ? kept() : "auto";

  function apply() {
    document.documentElement.dataset.theme = choice;
  }

  apply();

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = () => {
      button.textContent = choice === "auto" ? "Auto" : choice === "light" ? "Light" : "Dark";
      button.title = "Colours: " + (choice === "auto" ? "as the system has it" : choice);
      button.setAttribute("aria-label", "Colours: " + choice + ". Change");
    };
    say();
    button.addEventListener("click", () => {
      choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
      keep(choice);
      apply();
      say();
    });
  });
})();

// On narrow screens the menu covers the page, and Streamlit leaves it open when a page was chosen.

const MENU = '[data-testid="stSidebar"][data-collapsed="false"]';

// The path that was opened first, and then that of the last page for which this ran.
window.shownPath ??= new URL(performance.getEntriesByType("navigation")[0].name).pathname;

function close() {
  if (window.matchMedia("(max-width: 48rem)").matches) {
    document.querySelector(`${MENU} [data-testid="stSidebarCollapseButton"] button`)?.click();
  }
}

export default function () {
  // On a slow machine, a page can be chosen before this runs.
  if (location.pathname !== window.shownPath) {
    window.shownPath = location.pathname;
    close();
  }
  const closeAfterChoice = (event) => {
    if (event.target.closest?.('[data-testid="stSidebarNav"] a')) {
      close();
    }
  };
  document.addEventListener("click", closeAfterChoice);
  return () => document.removeEventListener("click", closeAfterChoice);
}

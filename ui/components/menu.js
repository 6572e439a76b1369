// On narrow screens the menu covers the page, and Streamlit leaves it open when a page was chosen.

export default function () {
  const close = (event) => {
    const chosen = event.target.closest?.('[data-testid="stSidebarNav"] a');
    if (chosen && window.matchMedia("(max-width: 48rem)").matches) {
      document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
    }
  };
  document.addEventListener("click", close);
  return () => document.removeEventListener("click", close);
}

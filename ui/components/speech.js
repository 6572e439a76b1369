const ICON =
  '<svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2"' +
  ' stroke-linejoin="round" stroke-linecap="round"><path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.5 4.5 0 0 1 0 6"/></svg>';

export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  button.innerHTML = ICON;
  button.append(data.label);
  button.hidden = !("speechSynthesis" in window);
  button.onclick = () => {
    const words = new SpeechSynthesisUtterance(data.words);
    words.lang = data.language;
    window.speechSynthesis.cancel();
    window.speechSynthesis.speak(words);
  };
  return () => window.speechSynthesis?.cancel();
}

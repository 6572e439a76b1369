export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  button.textContent = `🔊 ${data.label}`;
  button.hidden = !("speechSynthesis" in window);
  button.onclick = () => {
    const words = new SpeechSynthesisUtterance(data.words);
    words.lang = data.language;
    window.speechSynthesis.cancel();
    window.speechSynthesis.speak(words);
  };
  return () => window.speechSynthesis?.cancel();
}

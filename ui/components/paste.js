// Uploads a pasted picture through the file input, so that the same limits apply.

export default function () {
  const paste = (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    const field = document.querySelector('[data-testid="stFileUploader"] input[type="file"]');
    if (!files.length || !field) return;
    event.preventDefault();
    const transfer = new DataTransfer();
    files.slice(0, field.multiple ? files.length : 1).forEach((file) => transfer.items.add(file));
    field.files = transfer.files;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  };
  document.addEventListener("paste", paste);
  return () => document.removeEventListener("paste", paste);
}

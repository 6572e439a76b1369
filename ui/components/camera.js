// Tells the page when no camera is available, so that it can show another input.

export default function ({ setStateValue }) {
  let over = false;
  const tell = (refused) => over || setStateValue("refused", refused);
  if (!navigator.mediaDevices?.getUserMedia) {
    tell(true);
    return;
  }
  navigator.mediaDevices.enumerateDevices().then((devices) => {
    if (!devices.some((device) => device.kind === "videoinput")) tell(true);
  });
  navigator.permissions?.query({ name: "camera" }).then((permission) => {
    if (permission.state === "denied") tell(true);
    permission.onchange = () => tell(permission.state === "denied");
  }, () => {}); // browsers without this permission show their own message
  return () => {
    over = true;
  };
}

// Tells the page when no camera can be used, so that it can offer another way.

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
  }, () => {}); // a browser that does not know this permission shows its own message
  return () => {
    over = true;
  };
}

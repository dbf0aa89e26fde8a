/** Loaded before a program: its clock is an hour late. The SDK learns the time from the server and signs again. */
const RealDate = Date;
const late = () => RealDate.now() - 3_600_000;

globalThis.Date = class extends RealDate {
  constructor(...parts) {
    super(...(parts.length === 0 ? [late()] : parts));
  }
  static now() {
    return late();
  }
};

// The same for Node: does what the event says (see esm.testing.target_suite).
export const handler = async (event) => {
  switch (event.do) {
    case "answer":
      return event.answer;
    case "raise":
      throw new Error(event.text);
    case "exit":
      process.exit(3);
    default:
      return new Promise(() => setTimeout(() => {}, 600_000));
  }
};

/**
 * Why the service cannot start, in one sentence for its operator: what is wrong, with which value, and what to do.
 * The program prints the sentence alone, without a stack, and exits with 1.
 */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}

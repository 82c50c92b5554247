import { readStdinLine } from '../../src/terminal/stdin.ts'

/** Questions and answers as ssh-keygen has them: names and yes or no on stdin, passphrases on the terminal. */

export const print = (text: string): void => {
  process.stdout.write(text)
}

/** A line on stderr. */
export const complain = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

/** One line of stdin. Undefined at its end. */
export const readAnswer = readStdinLine

/** Asks for a passphrase; '' when nobody answers. */
export async function askPassphrase(question: string): Promise<string> {
  // Loaded here: most runs ask nothing.
  const { askPassphrase: ask } = await import('../../src/identity/passphrase.ts')
  return ask(question, process.env)
}

/** Asks twice, until both answers are the same. */
export async function askNewPassphrase(question: string): Promise<string> {
  for (;;) {
    const first = await askPassphrase(question)
    if (first === (await askPassphrase('Enter same passphrase again: '))) return first
    print('Passphrases do not match.  Try again.\n')
  }
}

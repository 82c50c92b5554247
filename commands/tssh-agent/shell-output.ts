/** What a shell evaluates: `eval $(tssh-agent)`. Scripts read it, so its form is OpenSSH's. */

export type Shell = 'sh' | 'csh'

/** A word that the shell takes as it is, whatever is in it. */
export function quoteForShell(text: string, shell: Shell): string {
  if (/^[\w./@%+=:,-]+$/.test(text)) return text
  const quoted = `'${text.replaceAll("'", `'\\''`)}'`
  // A C shell looks for its history even between quotes.
  return shell === 'csh' ? quoted.replaceAll('!', '\\!') : quoted
}

export const setVariable = (shell: Shell, name: string, value: string): string => {
  const quoted = quoteForShell(value, shell)
  return shell === 'csh' ? `setenv ${name} ${quoted};\n` : `${name}=${quoted}; export ${name};\n`
}

export const unsetVariable = (shell: Shell, name: string): string =>
  shell === 'csh' ? `unsetenv ${name};\n` : `unset ${name};\n`

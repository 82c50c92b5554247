import { literal, type Problem, splitLine } from './words.ts'

/** Where a command's argument is completed from. */
export type Place = 'none' | 'remote' | 'local'

interface VerbRow {
  readonly action: Action
  /** Completion of the first and the second argument. */
  readonly complete: readonly [Place, Place]
}

export type Action =
  | 'quit'
  | 'cd'
  | 'chgrp'
  | 'chmod'
  | 'chown'
  | 'copy'
  | 'df'
  | 'get'
  | 'help'
  | 'lcd'
  | 'link'
  | 'lls'
  | 'lmkdir'
  | 'lpwd'
  | 'ls'
  | 'lumask'
  | 'mkdir'
  | 'progress'
  | 'put'
  | 'pwd'
  | 'reget'
  | 'rename'
  | 'reput'
  | 'rm'
  | 'rmdir'
  | 'shell'
  | 'symlink'
  | 'version'

const row = (action: Action, first: Place = 'none', second: Place = 'none'): VerbRow => ({
  action,
  complete: [first, second],
})

/** The commands by the names that they have, which are matched without regard to case. */
export const verbs: ReadonlyMap<string, VerbRow> = new Map([
  ['bye', row('quit')],
  ['cd', row('cd', 'remote')],
  ['chdir', row('cd', 'remote')],
  ['chgrp', row('chgrp', 'none', 'remote')],
  ['chmod', row('chmod', 'none', 'remote')],
  ['chown', row('chown', 'none', 'remote')],
  ['copy', row('copy', 'remote', 'remote')],
  ['cp', row('copy', 'remote', 'remote')],
  ['df', row('df', 'remote')],
  ['dir', row('ls', 'remote')],
  ['exit', row('quit')],
  ['get', row('get', 'remote', 'local')],
  ['help', row('help')],
  ['lcd', row('lcd', 'local')],
  ['lchdir', row('lcd', 'local')],
  ['lls', row('lls', 'local')],
  ['lmkdir', row('lmkdir', 'local')],
  ['ln', row('link', 'remote', 'remote')],
  ['lpwd', row('lpwd')],
  ['ls', row('ls', 'remote')],
  ['lumask', row('lumask')],
  ['mget', row('get', 'remote', 'local')],
  ['mkdir', row('mkdir', 'remote')],
  ['mput', row('put', 'local', 'remote')],
  ['progress', row('progress')],
  ['put', row('put', 'local', 'remote')],
  ['pwd', row('pwd')],
  ['quit', row('quit')],
  ['reget', row('reget', 'remote', 'local')],
  ['rename', row('rename', 'remote', 'remote')],
  ['reput', row('reput', 'local', 'remote')],
  ['rm', row('rm', 'remote')],
  ['rmdir', row('rmdir', 'remote')],
  ['symlink', row('symlink', 'remote', 'remote')],
  ['version', row('version')],
  ['!', row('shell')],
  ['?', row('help')],
])

/** A line that was understood. */
export interface Command {
  readonly action: Action
  readonly flags: ReadonlySet<string>
  /** The first may be a pattern where the command takes one; see `words.ts`. */
  readonly paths: readonly string[]
  /** Mode, user, group or mask. */
  readonly number: number
  /** What follows `!` and `lls`. */
  readonly rest: string
}

/** What stands before a command: `-` goes on after its failure, `@` does not echo it. */
export interface Prefixes {
  readonly ignoreErrors: boolean
  readonly quiet: boolean
}

interface Shape {
  readonly flags: string
  readonly paths: 'none' | 'optional' | 'one' | 'two' | 'transfer' | 'number' | 'number-and-path' | 'rest'
  /** The first path is a pattern. */
  readonly pattern?: true
}

const transferShape: Shape = { flags: 'afpPrR', paths: 'transfer', pattern: true }
const changeShape: Shape = { flags: 'h', paths: 'number-and-path', pattern: true }
const shapes: Readonly<Record<Action, Shape>> = {
  quit: { flags: '', paths: 'none' },
  cd: { flags: '', paths: 'optional' },
  chgrp: changeShape,
  chmod: changeShape,
  chown: changeShape,
  copy: { flags: '', paths: 'two' },
  df: { flags: 'hi', paths: 'optional' },
  get: transferShape,
  help: { flags: '', paths: 'none' },
  lcd: { flags: '', paths: 'optional' },
  link: { flags: 's', paths: 'two' },
  lls: { flags: '', paths: 'rest' },
  lmkdir: { flags: '', paths: 'one' },
  lpwd: { flags: '', paths: 'none' },
  ls: { flags: '1Safhlnrt', paths: 'optional', pattern: true },
  lumask: { flags: 'h', paths: 'number' },
  mkdir: { flags: '', paths: 'one' },
  progress: { flags: '', paths: 'none' },
  put: transferShape,
  pwd: { flags: '', paths: 'none' },
  reget: transferShape,
  rename: { flags: 'l', paths: 'two' },
  reput: transferShape,
  rm: { flags: '', paths: 'one', pattern: true },
  rmdir: { flags: '', paths: 'one' },
  shell: { flags: '', paths: 'rest' },
  symlink: { flags: '', paths: 'two' },
  version: { flags: '', paths: 'none' },
}

/** Reads a line. Undefined: nothing to do. */
export function parseCommand(line: string): { prefixes: Prefixes; command: Command | Problem | undefined } {
  const [, marks = '', text = ''] = /^\s*([-@]*)\s*([\s\S]*)$/.exec(line)!
  const prefixes = { ignoreErrors: marks.includes('-'), quiet: marks.includes('@') }
  return { prefixes, command: text === '' || text.startsWith('#') ? undefined : parseText(text) }
}

function parseText(text: string): Command | Problem {
  if (text.startsWith('!')) return { action: 'shell', flags: new Set(), paths: [], number: 0, rest: text.slice(1) }
  const split = splitLine(text)
  if ('problem' in split) return split
  const [name = '', ...words] = split.words
  const verb = verbs.get(name.toLowerCase())
  if (!verb) return { problem: 'Invalid command.' }
  const word = name.toLowerCase()
  const shape = shapes[verb.action]
  if (shape.paths === 'rest') {
    const rest = text.slice(name.length).trimStart()
    return { action: verb.action, flags: new Set(), paths: [], number: 0, rest }
  }
  const flags = new Set<string>()
  while (words[0]?.startsWith('-') && words[0] !== '-') {
    const given = words.shift()!
    if (given === '--') break
    for (const flag of given.slice(1)) {
      if (!shape.flags.includes(flag)) return { problem: `${word}: Invalid flag -${flag}` }
      flags.add(flag)
      // Of the ways to sort and to show, the last one counts.
      if (verb.action === 'ls') dropOthers(flags, flag)
    }
  }
  return checkOperands(verb.action, word, shape, flags, words)
}

function dropOthers(flags: Set<string>, flag: string): void {
  const sorts = 'Sft'
  if (sorts.includes(flag)) for (const other of sorts) if (other !== flag) flags.delete(other)
  if (flag === '1') for (const other of 'lnh') flags.delete(other)
  if (flag === 'l' || flag === 'n') flags.delete('1')
}

function checkOperands(
  action: Action,
  name: string,
  shape: Shape,
  flags: ReadonlySet<string>,
  words: readonly string[],
): Command | Problem {
  const plain = (word: string, index: number): string => (shape.pattern && index === 0 ? word : literal(word))
  const done = (paths: readonly string[], number = 0): Command => ({
    action,
    flags,
    paths: paths.map(plain),
    number,
    rest: '',
  })
  switch (shape.paths) {
    case 'none':
    case 'rest':
      return done([])
    case 'optional':
      return done(words.slice(0, 1))
    case 'one':
      return words.length < 1
        ? { problem: `You must specify a path after a ${name} command.` }
        : done(words.slice(0, 1))
    case 'two':
      return words.length < 2
        ? { problem: `You must specify two paths after a ${name} command.` }
        : done(words.slice(0, 2))
    case 'transfer':
      return words.length < 1
        ? { problem: `You must specify at least one path after a ${name} command.` }
        : done(words.slice(0, 2))
    case 'number':
    case 'number-and-path': {
      const number = numberOf(words[0] ?? '', action === 'lumask' || action === 'chmod' ? 8 : 10)
      if (number === undefined) return { problem: `You must supply a numeric argument to the ${name} command.` }
      if (shape.paths === 'number') return done([], number)
      return words.length < 2
        ? { problem: `You must specify a path after a ${name} command.` }
        : done(words.slice(1, 2), number)
    }
  }
}

/** As strtoll(3): with base 10, hexadecimal and octal by their beginnings too. */
function numberOf(text: string, base: 8 | 10): number | undefined {
  const value = /^0x[0-9a-f]+$/i.test(text)
    ? base === 8
      ? Number.NaN
      : Number.parseInt(text, 16)
    : base === 8 || /^0[0-7]*$/.test(text)
      ? /^[0-7]+$/.test(text)
        ? Number.parseInt(text, 8)
        : Number.NaN
      : /^\d+$/.test(text)
        ? Number(text)
        : Number.NaN
  return value >= 0 && value <= 0xffffffff ? value : undefined
}

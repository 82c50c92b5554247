import { expect, test } from 'vitest'
import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, parseCommandLine } from '../../src/command/options.ts'

const syntax: CommandLineSyntax = {
  program: 'probe',
  synopsis: '[-tv] [-p port] host [command]',
  description: 'Tests.',
  usageStatus: 3,
  flags: [
    { name: 'v', description: 'more' },
    { name: 't', description: 'terminal' },
    { name: 'p', argument: 'port', description: 'port' },
    { name: 'json', description: 'JSON' },
    { name: 'limit', argument: 'n', description: 'limit' },
  ],
}

const parse = (...args: string[]) => {
  const { flags, operands } = parseCommandLine(syntax, args)
  return [flags.map(({ name, value }) => (value === '' ? name : `${name}=${value}`)).join(' '), ...operands]
}

test.each([
  [
    ['-v', 'host'],
    ['v', 'host'],
  ],
  [
    ['-vvtp22', 'host'],
    ['v v t p=22', 'host'],
  ],
  [
    ['-p', '22', 'host'],
    ['p=22', 'host'],
  ],
  [
    ['-p', '-v', 'host'],
    ['p=-v', 'host'],
  ],
  [['-vp', '22'], ['v p=22']],
  [
    ['host', '-v'],
    ['', 'host', '-v'],
  ],
  [
    ['-v', '--', '-t'],
    ['v', '-t'],
  ],
  [
    ['-', '-v'],
    ['', '-', '-v'],
  ],
  [
    ['--json', '--limit', '4', 'x'],
    ['json limit=4', 'x'],
  ],
  [
    ['--limit=a=b', 'x'],
    ['limit=a=b', 'x'],
  ],
  [[], ['']],
])('%j', (args, expected) => {
  expect(parse(...args)).toEqual(expected)
})

test('flags after the first operand, where a command allows them', () => {
  const { flags, operands } = parseCommandLine({ ...syntax, flagsMayFollow: 'first-operand' }, [
    '-v',
    'host',
    '-p',
    '22',
    'command',
    '-t',
  ])
  expect(flags.map(({ name }) => name)).toEqual(['v', 'p'])
  expect(operands).toEqual(['host', 'command', '-t'])
})

test.each([
  [['-x'], 'unknown option -- x'],
  [['-vx'], 'unknown option -- x'],
  [['-p'], 'option requires an argument -- p'],
  [['--limit'], 'option requires an argument -- limit'],
  [['--nothing'], 'unknown option -- nothing'],
  [['--json=1'], 'unknown option -- json'],
  [['--v'], 'unknown option -- v'],
])('%j is refused with the usage', (args, problem) => {
  const error = (() => {
    try {
      return parse(...args)
    } catch (thrown) {
      return thrown
    }
  })()
  expect(error).toBeInstanceOf(CommandError)
  expect(error).toMatchObject({ message: `probe: ${problem}\nusage: probe ${syntax.synopsis}`, exitStatus: 3 })
})

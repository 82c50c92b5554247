import type { FingerprintHash } from '../../lib/keys/fingerprint.ts'
import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, parseCommandLine, usage } from '../../src/command/options.ts'
import { parseTime } from '../../src/openssh/values.ts'

export const program = 'tssh-agent'

const syntax: CommandLineSyntax = {
  program,
  synopsis: `[-c | -s] [-DdTU] [-a bind_address] [-E fingerprint_hash]
                  [-O option] [-P allowed_providers] [-t life]
       tssh-agent [-TU] [-a bind_address] [-E fingerprint_hash] [-O option]
                  [-P allowed_providers] [-t life] command [arg ...]
       tssh-agent [-c | -s] -k
       tssh-agent -u
       tssh-agent -V`,
  description: 'Holds private keys and signs with them for others.',
  usageStatus: 1,
  flags: [
    { name: 'a', argument: 'bind_address', description: 'listen on this UNIX socket' },
    { name: 'c', description: 'print C shell commands' },
    { name: 'D', description: 'stay in the foreground' },
    { name: 'd', description: 'stay in the foreground and print what happens' },
    { name: 'E', argument: 'fingerprint_hash', description: 'hash of the fingerprints shown: md5, sha1, sha256, ...' },
    { name: 'k', description: 'end the agent that SSH_AGENT_PID names' },
    { name: 'O', argument: 'option', description: 'no-restrict-websafe, websafe-allow=patterns, allow-remote-pkcs11' },
    { name: 'P', argument: 'allowed_providers', description: 'libraries that may be loaded' },
    { name: 's', description: 'print Bourne shell commands' },
    { name: 'T', description: 'put the socket below $TMPDIR instead of ~/.ssh/agent' },
    { name: 't', argument: 'life', description: 'how long keys are kept that come without a lifetime' },
    { name: 'U', description: 'leave sockets of dead agents where they are' },
    { name: 'u', description: 'only remove sockets of dead agents; twice: of any machine' },
    { name: 'V', description: 'print the version' },
  ],
}

export interface AgentCommandLine {
  readonly action: 'serve' | 'kill' | 'clean' | 'version'
  readonly shell: 'sh' | 'csh'
  readonly foreground: 'no' | 'yes' | 'debug'
  /** -a */
  readonly socket: string | undefined
  readonly inTemporaryFolder: boolean
  readonly cleanStale: boolean
  readonly cleanAnyHost: boolean
  readonly fingerprintHash: FingerprintHash
  /** Seconds. */
  readonly lifetime: number | undefined
  /** Flags that are about what this agent cannot do. */
  readonly ineffective: readonly string[]
  readonly command: readonly string[]
}

const hashes: readonly FingerprintHash[] = ['md5', 'sha1', 'sha256', 'sha384', 'sha512']

const misuse = (problem = ''): CommandError =>
  new CommandError(`${problem ? `${problem}\n` : ''}${usage(syntax)}`, syntax.usageStatus)

/** @throws CommandError */
export function readCommandLine(args: readonly string[], shellVariable: string | undefined): AgentCommandLine {
  const { flags, operands } = parseCommandLine(syntax, args)
  const count = (name: string): number => flags.filter(flag => flag.name === name).length
  const last = (name: string): string | undefined => flags.findLast(flag => flag.name === name)?.value
  const has = (name: string): boolean => count(name) > 0
  if (has('c') && has('s')) throw misuse()
  if (count('d') + count('D') > 1) throw misuse()
  if (operands.length > 0 && ['c', 'k', 's', 'd', 'D', 'u'].some(has)) throw misuse()
  const allowed = flags.filter(({ name, value }) => name === 'O' && value.startsWith('websafe-allow='))
  if (allowed.length > 1) throw new CommandError('websafe-allow already set', 255)
  if (count('P') > 1) throw new CommandError('-P option already specified', 255)
  const csh = has('c') || (operands.length === 0 && !has('s') && (shellVariable ?? '').endsWith('csh'))
  return {
    action: has('V') ? 'version' : has('k') ? 'kill' : has('u') ? 'clean' : 'serve',
    shell: csh ? 'csh' : 'sh',
    foreground: has('d') ? 'debug' : has('D') ? 'yes' : 'no',
    socket: last('a'),
    inTemporaryFolder: has('T'),
    cleanStale: !has('U'),
    cleanAnyHost: count('u') > 1,
    fingerprintHash: hashOf(last('E')),
    lifetime: lifetimeOf(last('t')),
    ineffective: [
      ...flags.filter(({ name }) => name === 'O').map(({ value }) => `-O ${checkedOption(value)}`),
      ...(has('P') ? ['-P'] : []),
    ],
    command: operands,
  }
}

function hashOf(name: string | undefined): FingerprintHash {
  const known = hashes.find(hash => hash === (name ?? 'sha256').toLowerCase())
  if (!known) throw new CommandError(`Invalid hash algorithm "${name}"`, 255)
  return known
}

/** Zero keeps keys for ever, as no -t does. */
function lifetimeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const seconds = parseTime(text)
  if (seconds === undefined) throw misuse('Invalid lifetime')
  return seconds || undefined
}

function checkedOption(option: string): string {
  if (['no-restrict-websafe', 'allow-remote-pkcs11'].includes(option) || option.startsWith('websafe-allow='))
    return option
  throw new CommandError('Unknown -O option', 255)
}

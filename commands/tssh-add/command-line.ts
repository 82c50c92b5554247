import type { FingerprintHash } from '../../lib/keys/fingerprint.ts'
import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, parseCommandLine } from '../../src/command/options.ts'
import { parseTime } from '../../src/openssh/values.ts'

export const program = 'tssh-add'

const syntax: CommandLineSyntax = {
  program,
  synopsis: `[-CcDdKkLlNqvXx] [-E fingerprint_hash] [-H hostkey_file]
                [-h destination_constraint] [-S provider] [-t life]
                [file ...]
       tssh-add -s pkcs11 [-Cv] [certificate ...]
       tssh-add -e pkcs11
       tssh-add -Q
       tssh-add -T pubkey ...`,
  description: 'Adds private keys to the agent, lists and removes them.',
  usageStatus: 1,
  flags: [
    { name: 'C', description: 'only certificates' },
    { name: 'c', description: 'the user confirms each use of the key' },
    { name: 'D', description: 'remove all keys' },
    { name: 'd', description: 'remove the keys named; - reads public keys from stdin' },
    { name: 'E', argument: 'fingerprint_hash', description: 'hash of the fingerprints shown' },
    { name: 'e', argument: 'pkcs11', description: 'remove the keys of a PKCS#11 library' },
    { name: 'H', argument: 'hostkey_file', description: 'known hosts for -h' },
    { name: 'h', argument: 'destination_constraint', description: 'only for [user@]host, or host>[user@]host' },
    { name: 'K', description: 'load the resident keys of a security key' },
    { name: 'k', description: 'only plain keys' },
    { name: 'L', description: 'list public keys' },
    { name: 'l', description: 'list fingerprints' },
    { name: 'M', argument: 'count', description: 'no longer means anything' },
    { name: 'm', argument: 'count', description: 'no longer means anything' },
    { name: 'N', description: 'keep certificates after they have expired' },
    { name: 'Q', description: "list the agent's extensions" },
    { name: 'q', description: 'say nothing on success' },
    { name: 'S', argument: 'provider', description: 'library for security keys' },
    { name: 's', argument: 'pkcs11', description: 'add the keys of a PKCS#11 library' },
    { name: 'T', description: 'test whether the keys of public key files can sign' },
    { name: 't', argument: 'life', description: 'how long the agent keeps the key' },
    { name: 'v', description: 'say more; up to three times' },
    { name: 'X', description: 'unlock the agent' },
    { name: 'x', description: 'lock the agent' },
  ],
}

export type AddAction =
  | 'add'
  | 'delete'
  | 'delete-all'
  | 'list-fingerprints'
  | 'list-keys'
  | 'lock'
  | 'unlock'
  | 'query'
  | 'test'
  | 'add-token'
  | 'remove-token'
  | 'resident'

export interface AddCommandLine {
  readonly action: AddAction
  readonly operands: readonly string[]
  readonly keys: boolean
  readonly certificates: boolean
  readonly confirm: boolean
  readonly quiet: boolean
  readonly verbosity: number
  /** Seconds; undefined for ever. */
  readonly lifetime: number | undefined
  readonly keepExpired: boolean
  readonly fingerprintHash: FingerprintHash
  readonly destinations: readonly string[]
  /** Empty for the usual files. */
  readonly hostKeyFiles: readonly string[]
  readonly token: string | undefined
  readonly securityKeyProvider: string | undefined
}

const hashes: readonly FingerprintHash[] = ['md5', 'sha1', 'sha256', 'sha384', 'sha512']
/** Status of what OpenSSH calls fatal. */
const fatalStatus = 255
/** A lifetime is an uint32. */
const lifetimeLimit = 0xffff_ffff

const fatal = (problem: string): CommandError => new CommandError(problem, fatalStatus)

/** @throws CommandError */
export function readCommandLine(args: readonly string[], env: NodeJS.ProcessEnv): AddCommandLine {
  const { flags, operands } = parseCommandLine(syntax, args)
  const has = (name: string): boolean => flags.some(flag => flag.name === name)
  const all = (name: string): string[] => flags.filter(flag => flag.name === name).map(({ value }) => value)
  const last = (name: string): string | undefined => all(name).at(-1)
  for (const names of ['lL', 'xX']) {
    const given = flags.filter(({ name }) => names.includes(name))
    if (given.length > 1) throw fatal(`-${given[0]!.name} flag already specified`)
  }
  const alone = [has('x') || has('X'), has('l') || has('L'), has('D'), has('Q')]
  if (alone.filter(Boolean).length > 1) throw fatal('Invalid combination of actions')
  return {
    action: actionOf(has),
    operands,
    keys: !has('C') || has('k'),
    certificates: !has('k') || has('C'),
    confirm: has('c'),
    quiet: has('q'),
    verbosity: all('v').length,
    lifetime: lifetimeOf(last('t')),
    keepExpired: has('N'),
    fingerprintHash: hashOf(last('E')),
    destinations: all('h'),
    hostKeyFiles: all('H'),
    token: flags.findLast(({ name }) => name === 's' || name === 'e')?.value,
    securityKeyProvider: last('S') ?? env['SSH_SK_PROVIDER'],
  }
}

/** In ssh-add's order, where several are given. */
function actionOf(has: (name: string) => boolean): AddAction {
  if (has('x')) return 'lock'
  if (has('X')) return 'unlock'
  if (has('l')) return 'list-fingerprints'
  if (has('L')) return 'list-keys'
  if (has('D')) return 'delete-all'
  if (has('Q')) return 'query'
  if (has('T')) return 'test'
  if (has('s') || has('e')) return has('e') || has('d') ? 'remove-token' : 'add-token'
  if (has('K')) return 'resident'
  return has('d') ? 'delete' : 'add'
}

function hashOf(name = 'sha256'): FingerprintHash {
  const known = hashes.find(hash => hash === name.toLowerCase())
  if (!known) throw fatal(`Invalid hash algorithm "${name}"`)
  return known
}

function lifetimeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const seconds = parseTime(text)
  if (seconds === undefined || seconds > lifetimeLimit) throw new CommandError('Invalid lifetime', 1)
  return seconds || undefined
}

import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, parseCommandLine, usage } from '../../src/command/options.ts'
import { FileHosts } from '../../src/connect/file-hosts.ts'
import { hostFlags, hostOptions } from '../../src/connect/host-flags.ts'
import { type Operand, parseOperand } from '../../src/connect/operands.ts'
import { expandHome, placeOf } from '../../src/connect/places.ts'

const syntax: CommandLineSyntax = {
  program: 'tsftp browse',
  synopsis:
    '[-46ABCqv] [-c cipher] [-D sftp_server] [-F ssh_config] [-i identity_file] [-J destination]\n' +
    '                    [-o ssh_option] [-P port] [-S program] [left] right',
  description: 'Shows two directories side by side: the local one, or any other, and one of a host.',
  usageStatus: 1,
  flags: hostFlags,
}

/** `tsftp browse`. Resolves to the exit status once the user leaves. */
export async function runBrowse(args: readonly string[]): Promise<number> {
  const { flags, operands } = parseCommandLine(syntax, args)
  if (operands.length < 1 || operands.length > 2) throw new CommandError(usage(syntax), 1)
  if (!process.stdin.isTTY || !process.stdout.isTTY) throw new CommandError('tsftp browse needs a terminal', 1)
  const texts = operands.length === 1 ? ['.', operands[0]!] : operands
  const hosts = new FileHosts(hostOptions('tsftp', flags))
  try {
    const [left, right] = [await paneOf(hosts, texts[0]!), await paneOf(hosts, texts[1]!)]
    const { browse } = await import('../../src/screens/file-browser.tsx')
    const { Browser } = await import('../../src/screens/browser.ts')
    await browse(changed => new Browser(left, right, changed))
    return 0
  } finally {
    await hosts.close()
  }
}

async function paneOf(hosts: FileHosts, text: string) {
  const operand: Operand = parseOperand(text)
  const place = await placeOf(hosts, operand)
  const path = await place.files.realpath(await expandHome(place, operand.path || '.'))
  return { title: operand.kind === 'remote' ? `${operand.host}:` : '', files: place.files, path }
}

import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { main } from '../../commands/tscp/main.ts'
import { SshError } from '../../lib/errors.ts'
import { CommandError } from '../../src/command/errors.ts'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'

/** The same arguments for OpenSSH's scp and for tscp: the same words, status and files. */

const sftpServer = '/usr/lib/openssh/sftp-server'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-same-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** `root/home` is the home of every user on every host, `root/here` is where the command runs. */
function prepare(root: string): void {
  const make = (base: string, files: readonly string[]): void => {
    for (const [index, name] of files.entries()) {
      const path = join(root, base, name)
      mkdirSync(join(path, '..'), { recursive: true })
      writeFileSync(path, `${base}/${name}`, { mode: name.endsWith('b.txt') ? 0o600 : 0o644 })
      utimesSync(path, 1_500_000_000 + index, 1_600_000_000 + index)
    }
  }
  const odd = ['sp ace', 'st*r', 'dol$lar', 'se;mi', "q'uote", 'back\\slash']
  make('home', ['a.txt', 'b.txt', 'dir/x', 'dir/sub/y', 'whole/x', 'whole/sub/y', 'tree/f', ...odd])
  make('here', ['l1.txt', 'l2.txt', 'ldir/m', 'ldir/n/o', '-dash', 'co:lon', ...odd])
  mkdirSync(join(root, 'here/into'))
  mkdirSync(join(root, 'home/whole/empty'))
  for (const [target, path] of [
    ['a.txt', 'home/link'],
    ['dir', 'home/dlink'],
    ['whole', 'home/wlink'],
    ['x', 'home/whole/link'],
    ['nowhere', 'home/broken'],
    ['nowhere', 'home/dir/broken'],
    ['../whole', 'home/tree/link'],
    ['ldir', 'here/llink'],
    ['nowhere', 'here/broken'],
  ] as const)
    symlinkSync(target, join(root, path))
  mkdirSync(join(root, 'bin'))
  // In the place of ssh: every host is this one, and each login begins in `home`.
  const login = `cd ${root}/home; HOME=${root}/home; PATH=${root}/bin:$PATH; export HOME PATH`
  writeFileSync(
    join(root, 'bin/ssh'),
    `#!/bin/sh
while [ $# -gt 0 ]; do case $1 in --) shift; break;; -[oFilpcJP]) shift 2;; -*) shift;; *) break;; esac; done
echo "$1" >> ${root}/hosts
shift
${login}
[ "$*" = sftp ] && exec ${sftpServer}
exec sh -c "$*"
`,
    { mode: 0o755 },
  )
  // What the far side calls scp: the real one, so that nothing but the near side differs.
  writeFileSync(join(root, 'bin/scp'), `#!/bin/sh\nexec $(command -v /usr/bin/scp) -S ${root}/bin/ssh "$@"\n`, {
    mode: 0o755,
  })
}

/** Every file with its kind, its mode, and what is in it or where it leads; of new ones their times, when asked. */
function picture(root: string, withTimes: boolean): string[] {
  const lines: string[] = []
  const look = (path: string): void => {
    const stats = lstatSync(join(root, path))
    const line = `${path} ${stats.mode.toString(8)}`
    if (stats.isDirectory()) {
      lines.push(line)
      for (const name of readdirSync(join(root, path)).sort()) look(`${path}/${name}`)
    } else if (stats.isSymbolicLink()) lines.push(`${line} ${readlinkSync(join(root, path))}`)
    else {
      const time = withTimes && path.includes('new') ? ` ${stats.mtimeMs}` : ''
      lines.push(`${line} ${readFileSync(join(root, path), 'latin1')}${time}`)
    }
  }
  for (const path of ['home', 'here']) look(path)
  // scp connects for each operand, tscp once.
  const hosts = existsSync(join(root, 'hosts')) ? readFileSync(join(root, 'hosts'), 'utf8').split('\n').sort() : []
  return [...lines, ...new Set(hosts)]
}

interface Outcome {
  readonly status: number | string
  readonly stdout: string
  readonly words: string[]
  readonly files: string[]
}

/** As both programs say it: without carriage returns, the program's name and the order that processes happen to take. */
const wordsOf = (stderr: string): string[] =>
  stderr
    .replaceAll('\r', '')
    .split('\n')
    // In the old protocol scp puts its name before the far side's words alone.
    .map(line => line.replace(/^t?scp: /, ''))
    .filter(line => line !== '')
    .sort()

type Program = (args: readonly string[], cwd: string) => Promise<Ran>

async function outcome(args: readonly string[], program: Program): Promise<Outcome> {
  const root = mkdtempSync(join(folder, 'root-'))
  prepare(root)
  const ran = await program(['-S', join(root, 'bin/ssh'), ...args], join(root, 'here'))
  const withTimes = args.some(flag => /^-[a-zR3]*p/.test(flag))
  const words = wordsOf(ran.stderr.replaceAll(root, 'ROOT'))
  return { status: ran.status, stdout: ran.stdout.toString(), words, files: picture(root, withTimes) }
}

const scp: Program = (args, cwd) =>
  runProgram('sh', ['-c', 'cd "$1" && shift && umask 022 && exec scp "$@"', 'sh', cwd, ...args])

/** tscp in this process, since there are hundreds of runs. */
const tscp: Program = async (args, cwd) => {
  const before = process.cwd()
  const umask = process.umask(0o022)
  const said = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map(name =>
    vi.spyOn(process[name], 'write').mockImplementation(data => {
      said[name] += data.toString()
      return true
    }),
  )
  process.chdir(cwd)
  let status = 255
  try {
    status = await main(args)
  } catch (error) {
    if (!(error instanceof SshError)) throw error
    if (error instanceof CommandError) status = error.exitStatus
    said.stderr += `${error.message}\n`
  } finally {
    process.chdir(before)
    process.umask(umask)
    for (const spy of spies) spy.mockRestore()
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal)
  }
  return { status, stdout: Buffer.from(said.stdout), stderr: said.stderr }
}

type Case = readonly string[]

/** With either protocol. */
const same: readonly Case[] = [
  // Down.
  ['h:a.txt', '.'],
  ['h:a.txt', 'new'],
  ['h:a.txt', 'into/'],
  ['h:a.txt', 'l1.txt'],
  ['h:*.txt', 'into'],
  ['h:nothing', 'into'],
  ['h:no*', 'into'],
  ['h:dir', 'into'],
  ['-r', 'h:whole', 'into'],
  ['-r', 'h:whole', 'new'],
  ['-r', 'h:whole/', 'new'],
  ['-rp', 'h:whole', 'new'],
  ['-p', 'h:b.txt', 'new'],
  ['-r', 'h:wlink', 'into'],
  ['h:link', 'new'],
  ['h:a.txt', 'h:b.txt', 'into'],
  ['h:a.txt', 'h:nothing', 'into'],
  ['h:a.txt', 'h:b.txt', 'l1.txt'],
  ['h:a.txt', 'h:b.txt', 'nothing'],
  ['h:a.txt', 'nodir/x'],
  ['h:', 'into'],
  ['h:~/a.txt', 'new'],
  // Up.
  ['l1.txt', 'h:'],
  ['l1.txt', 'h:new'],
  ['l1.txt', 'h:dir'],
  ['l1.txt', 'h:dir/'],
  ['l1.txt', 'l2.txt', 'h:dir'],
  ['l1.txt', 'l2.txt', 'h:a.txt'],
  ['l1.txt', 'nothing', 'h:dir'],
  ['nothing', 'h:dir'],
  ['ldir', 'h:'],
  ['-r', 'ldir', 'h:'],
  ['-r', 'ldir', 'h:dir'],
  ['-r', 'ldir/', 'h:dir'],
  ['-r', 'llink', 'h:dir'],
  ['-rp', 'ldir', 'h:new'],
  ['broken', 'h:'],
  ['./-dash', 'h:'],
  ['l1.txt', 'h:nodir/x'],
  ['l1.txt', 'h:~/new'],
  ['sp ace', 'st*r', 'dol$lar', 'se;mi', "q'uote", 'back\\slash', 'h:dir'],
  // From host to host.
  ['h:a.txt', 'k:new'],
  ['-3', 'h:a.txt', 'k:dir'],
  ['-3r', 'h:whole', 'k:new'],
  ['-3p', 'h:b.txt', 'k:new'],
  ['-3', 'h:nothing', 'k:new'],
  ['-3', 'h:a.txt', 'h:b.txt', 'k:dir'],
]

/** What is done before any protocol is spoken, or by the far scp. */
const anyProtocol: readonly Case[] = [
  ['u@h:a.txt', 'new'],
  ['[h]:a.txt', 'new'],
  ['scp://h/a.txt', 'new'],
  ['scp://u@h:22/dir/x', 'new'],
  ['scp://h', 'new'],
  ['scp://h:99999/a.txt', 'new'],
  ['scp://h:22', 'new'],
  ['l1.txt', 'scp://u@h/dir/new'],
  ['./co:lon', 'h:'],
  ['-R', 'h:a.txt', 'k:new'],
  ['-Rr', 'h:whole', 'k:new'],
  ['-Rp', 'h:b.txt', 'v@k:new'],
  ['-R', 'h:*.txt', 'k:dir'],
]

/** What the far shell makes of a name with the old protocol, and what a name is with SFTP. */
const quoted: readonly Case[] = [
  ['h:{a,b}.txt', 'into'],
  ['h:sp ace', 'into'],
  ['h:sp\\ ace', 'into'],
  ["h:'sp ace'", 'into'],
  ['h:st*r', 'into'],
  ['h:st\\*r', 'into'],
  ['h:dol$lar', 'into'],
  ['h:dol\\$lar', 'into'],
  ['h:$HOME/a.txt', 'into'],
  ['h:`echo a.txt`', 'into'],
  ['-T', 'h:`echo a.txt`', 'into'],
  ['h:$(echo a.txt)', 'into'],
  ['h:a.txt|cat', 'into'],
  ['h:back\\\\slash', 'into'],
  ['l1.txt', 'h:new name'],
  ['l1.txt', 'h:new\\ name'],
  ['l1.txt', "h:'new name'"],
  ['l1.txt', 'h:$HOME/new'],
  ['l1.txt', 'h:`echo new`'],
  ['l1.txt', 'h:new;touch made'],
  ['l1.txt', 'scp://h/sp%20ace'],
]

const protocols = [
  ['SFTP', []],
  ['the old protocol', ['-O']],
] as const

describe.skipIf(!haveProgram('scp') || !existsSync(sftpServer))('scp and tscp', () => {
  describe.each(protocols)('%s', (_name, protocol) => {
    test.each([...same, ...quoted, ...(protocol.length === 0 ? anyProtocol : [])].map(args => [args]))(
      '%j',
      async args => {
        const [theirs, ours] = await Promise.all([scp, tscp].map(program => outcome([...protocol, ...args], program)))
        expect(ours).toEqual(theirs)
      },
    )
  })
})

/** Where tscp means to differ. */
describe.skipIf(!haveProgram('scp') || !existsSync(sftpServer))('other than scp', () => {
  const both = (args: Case): Promise<Outcome[]> => Promise.all([scp, tscp].map(program => outcome(args, program)))
  const kept = ({ status, files }: Outcome): object => ({ status, files })

  test('a link that leads nowhere is named with its reason; the rest and the status are the same', async () => {
    for (const args of [
      ['h:broken', 'new'],
      ['-r', 'h:dir', 'into'],
      ['-3r', 'h:dir', 'k:new'],
    ]) {
      const [theirs, ours] = await both(args)
      expect(kept(ours!)).toEqual(kept(theirs!))
      expect(ours!.words).toEqual([expect.stringMatching(/^(dir\/)?broken: No such file or directory$/)])
    }
  })

  test('a directory where a file is ends at once, with the same status and files', async () => {
    for (const protocol of [[], ['-O']])
      for (const operands of [
        ['h:whole', 'l1.txt'],
        ['ldir', 'h:a.txt'],
      ]) {
        const [theirs, ours] = await both([...protocol, '-r', ...operands])
        expect(kept(ours!)).toEqual(kept(theirs!))
        expect(ours!.words.join()).toMatch(/File exists|Failure|Not a directory/)
      }
  })

  test('links to directories are followed in a tree, as scp(1) says and scp does with the old protocol alone', async () => {
    const [theirs] = await both(['-O', '-r', 'h:tree', 'into'])
    const [, ours] = await both(['-r', 'h:tree', 'into'])
    expect(kept(ours!)).toEqual(kept(theirs!))
    expect(ours!.files).toContainEqual(expect.stringMatching(/^here\/into\/tree\/link\/x /))
  })

  test('a name that a pattern could be is taken as it is when no pattern matches', async () => {
    const [theirs, ours] = await both(['h:back\\slash', 'into'])
    expect([theirs!.status, ours!.status]).toEqual([1, 0])
    expect(ours!.files).toContainEqual(expect.stringMatching(/^here\/into\/back\\slash /))
  })
})

/** Security rule 88: in the old protocol the server names the files, and must not choose them. */
describe.skipIf(!haveProgram('scp'))('a server of the old protocol that sends what was not asked for', () => {
  test.each<[Case, string]>([
    [['h:a.txt', 'into'], 'C0644 4 b.txt\nevil\0'],
    [['h:a.txt', 'into'], 'C0644 4 ../l1.txt\nevil\0'],
    [['h:a.txt', 'into'], 'C0644 4 .bashrc\nevil\0'],
    [['h:a.txt', 'into'], 'D0755 0 a.txt\nC0644 4 x\nevil\0E\n'],
    [['h:a.txt', 'into'], 'C0644 4 a.txt\ngood\0C0644 4 b.txt\nevil\0'],
    [['h:*.txt', 'into'], 'C0644 4 x.txt\ngood\0C0644 4 .txt.sh\nevil\0'],
    [['h:{a,b}.txt', 'into'], 'C0644 4 b.txt\ngood\0C0644 4 c.txt\nevil\0'],
    [['h:$X', 'into'], 'C0644 4 .bashrc\nevil\0'],
    [['h:a.txt', 'new'], 'C0644 4 other\nevil\0'],
    [['-r', 'h:dir', 'into'], 'D0755 0 dir\nC0644 4 ../x\nevil\0E\n'],
    [['-r', 'h:dir', 'into'], 'D0755 0 ..\nC0644 4 l1.txt\nevil\0E\n'],
    [['-r', 'h:dir', 'into'], 'D0755 0 dir\nE\nE\nE\n'],
  ])('%j: %j', async (args, sent) => {
    const evil = async (program: Program): Promise<Outcome> => {
      const root = mkdtempSync(join(folder, 'root-'))
      prepare(root)
      writeFileSync(join(root, 'sent'), sent)
      writeFileSync(join(root, 'bin/ssh'), `#!/bin/sh\ncat ${root}/sent\nexec cat > /dev/null\n`, { mode: 0o755 })
      const ran = await program(['-O', '-S', join(root, 'bin/ssh'), ...args], join(root, 'here'))
      return { status: ran.status, stdout: '', words: wordsOf(ran.stderr), files: picture(root, false) }
    }
    const [theirs, ours] = await Promise.all([scp, tscp].map(evil))
    expect(ours!.files.filter(line => line.includes('evil'))).toEqual([])
    expect([ours!.status, ours!.files]).toEqual([theirs!.status, theirs!.files])
    expect(ours!.words.join()).toMatch(/protocol error|unexpected|lost connection/)
  })
})

/** The package's own types are declared under the name it is published as, not under the one it is installed as. */
declare module 'node-pty' {
  export interface Pty {
    readonly pid: number
    /** The terminal's master side. */
    readonly fd: number
    onData(listener: (data: Buffer) => void): void
    onExit(listener: (end: { exitCode: number; signal?: number }) => void): void
    resize(columns: number, rows: number): void
    pause(): void
    resume(): void
  }
  export interface PtyOptions {
    name: string
    cols: number
    rows: number
    cwd: string
    env: Record<string, string>
    /** Bytes, not text. */
    encoding: null
  }
  export function spawn(file: string, args: string[], options: PtyOptions): Pty
}

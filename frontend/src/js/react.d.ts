// What the GraphiQL page uses of React, which brings no types of its own.

declare module "react" {
  interface ReactElement {
    readonly type: unknown;
  }
  function createElement(type: unknown, properties?: object | null, ...children: unknown[]): ReactElement;
  function useState<S>(initial: S): [S, (next: S) => void];
  function useSyncExternalStore<S>(subscribe: (changed: () => void) => () => void, read: () => S): S;
}

declare module "react-dom/client" {
  function createRoot(holder: HTMLElement): { render(element: import("react").ReactElement): void };
}

import * as session from "./session.js";
await session.begin();

// Starts the board.

import "./board.css";
import { Board } from "./board";

void new Board().start();

mod hooks;
mod own;
mod patching;
mod reading;
mod sending;

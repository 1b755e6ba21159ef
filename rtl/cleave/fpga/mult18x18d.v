// MULT18X18D of an ECP5, for simulation: P = A * B, both signed, with registers at both inputs, at the output, and in the middle
// or not. After Lattice's ECP5 and ECP5-5G sysDSP Usage Guide (FPGA-TN-02205), which describes ports and attributes:
//   REG_x_CLK   the clock of register x, or "NONE" where x is a wire; P is A * B three clocks later, or two without the pipeline
//   SIGNED      two's complement;  SOURCE = 0  the factor comes from its own port, not from the multiplier beside it
//   CE, RST     clock enable and reset of all registers
// Only what Cleave's cells use is here: anything else stops the simulation.
module MULT18X18D #(
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_PIPELINE_CLK = "NONE", REG_OUTPUT_CLK = "NONE", GSR = "ENABLED"
) (
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
  output P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  reg signed [17:0] a, b;
  reg signed [35:0] middle, p;
  wire signed [35:0] product = a * b;

`ifndef SYNTHESIS
  always @(posedge CLK0)
    if (REG_INPUTA_CLK != "CLK0" || REG_INPUTB_CLK != "CLK0" || REG_PIPELINE_CLK != "CLK0" && REG_PIPELINE_CLK != "NONE"
        || REG_OUTPUT_CLK != "CLK0" || GSR != "DISABLED" || !SIGNEDA || !SIGNEDB || SOURCEA || SOURCEB || !CE0 || RST0)
      $fatal(1, "MULT18X18D is used in a way that its model does not know");
`endif

  always @(posedge CLK0) begin
    a <= {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    b <= {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    middle <= product;
    p <= REG_PIPELINE_CLK == "CLK0" ? middle : product;
  end

  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
          P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = p;
endmodule
